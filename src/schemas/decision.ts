import { z } from 'zod';
import { Digest } from './ids';

/**
 * A list of thousands of numbers is checked as a whole: zod makes an object for each of them, which cost a third of what it takes to record
 * a long answer.
 */
const listOf = (isOne: (value: unknown) => boolean, expected: string): z.ZodType<number[]> =>
  z.custom<number[]>((value) => Array.isArray(value) && value.every(isOne), `expected ${expected}`);
const TokenIds = listOf(
  (id) => Number.isSafeInteger(id) && (id as number) >= 0,
  'a list of token ids: whole numbers, at least 0',
);

/** Token ids and log-probabilities as the engine gave them: nothing is ever tokenized again. */
export const SampledTokens = z.strictObject({
  /** Of the whole prompt, as the engine read it; null where it does not say. */
  prompt: TokenIds.nullable(),
  completion: TokenIds,
  /** ln π(token | everything before it), one per token of the completion; null where the engine does not say. */
  logprobs: listOf(Number.isFinite, 'a list of numbers').nullable(),
});
export type SampledTokens = z.infer<typeof SampledTokens>;

/** How a decision was sampled; one member per kind of policy, and one for models that are nobody's policy. */
export const Sampled = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('arm'),
    arm: z.string(),
    /** π(arm | request) after masking, temperature and exploration floor: exactly the probability that it was drawn with. */
    propensity: z.number().positive().max(1),
    /** How many arms the request could take. */
    available: z.int().positive(),
    /** Which ones, where tools do not say it: request arms also depend on what upstreams the gateway has. */
    arms: z.array(z.string()).optional(),
  }),
  /** A model behind an upstream wrote the answer, and no policy of ours had a say. */
  z.strictObject({
    kind: z.literal('text'),
    /** As the upstream says it (`stop`, `length`, `tool_calls`, `end_turn`, …). */
    finishReason: z.string().nullable(),
    /** null where the upstream does not give them. */
    tokens: SampledTokens.nullable(),
  }),
]);
export type Sampled = z.infer<typeof Sampled>;
export type SampledArm = Extract<Sampled, { kind: 'arm' }>;

/** Temperature 0 takes the most probable arm; 1 samples from the policy as it is. */
export const Sampling = z.strictObject({ temperature: z.number().min(0).max(10) });
export type Sampling = z.infer<typeof Sampling>;

/** Tokens as the upstream counted them. */
export const Usage = z.strictObject({
  /** All of the prompt, those from and into a cache included. */
  promptTokens: z.int().min(0),
  completionTokens: z.int().min(0),
  /** How many of the prompt's came from the upstream's cache; left out where it does not say. */
  cacheReadTokens: z.int().min(0).optional(),
  /** How many of the prompt's were put into its cache (Anthropic). */
  cacheWriteTokens: z.int().min(0).optional(),
});
export type Usage = z.infer<typeof Usage>;

/** One model call: what was asked, what was sampled, by which checkpoint. Messages are held by id in the segment. */
export const Decision = z.strictObject({
  /** The response id that the agent was given (`chatcmpl-…`). */
  id: z.string().min(1),
  /** From 1, in the order in which the session's calls were answered. */
  sequence: z.int().positive(),
  /** Both null where no policy had a say. */
  policy: z.string().nullable(),
  checkpoint: Digest.nullable(),
  /** Ids of the request's messages, oldest first. */
  context: z.array(z.string()),
  /** Id of the request's tools; null when it had none. */
  toolset: z.string().nullable(),
  /** Id of the answer's message. */
  output: z.string(),
  /** Ids of the other choices, where the request asked for several (`n`). */
  alternatives: z.array(z.string()).optional(),
  /** Which upstream wrote the answer, and under what model name there; left out where our own policy did. */
  upstream: z
    .strictObject({
      name: z.string(),
      model: z.string(),
      /** How it names its answer. */
      responseId: z.string().nullable(),
      /** How it names the pieces of its answer: a later call may hold `{type: "item_reference", id}` in their place. */
      itemIds: z.array(z.string()).optional(),
      /** The `responseId` that the call went on from, where the upstream holds the conversation: `context` has only what is new since. */
      previousId: z.string().optional(),
      /** The conversation that it holds, by its own name: `context` has only what is new in it. */
      conversationId: z.string().optional(),
    })
    .optional(),
  /** Not a call of ours: a trace told of it, and these are its ids there. `upstream` is then as the trace names it. */
  observed: z.strictObject({ traceId: z.string(), spanId: z.string() }).optional(),
  sampled: Sampled,
  sampling: Sampling,
  /** null where the upstream does not say. */
  usage: Usage.nullable(),
  /** What the answer cost, in millionths of the unit of money that the gateway's prices are in; left out where no price or usage is known. */
  costMicros: z.number().min(0).optional(),
  latencyMs: z.number().min(0),
  at: z.iso.datetime(),
  /** A pseudonym of who used the agent, where the request says. */
  user: z.string().optional(),
  /** Why nothing may be trained on this decision: its token ids stood for secrets that were replaced in its texts, so they were dropped. */
  untrainable: z.enum(['redacted']).optional(),
});
export type Decision = z.infer<typeof Decision>;

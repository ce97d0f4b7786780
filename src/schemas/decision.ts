import { z } from 'zod';
import { Digest } from './ids';

/** Token ids and log-probabilities as the engine gave them: nothing is ever tokenized again. */
export const SampledTokens = z.strictObject({
  /** Of the whole prompt, as the engine read it; null where it does not say. */
  prompt: z.array(z.int().min(0)).nullable(),
  completion: z.array(z.int().min(0)),
  /** ln π(token | everything before it), one per token of the completion; null where the engine does not say. */
  logprobs: z.array(z.number()).nullable(),
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
  /** Which upstream wrote the answer, under what model name there, and how it names its answer; left out where our own policy did. */
  upstream: z
    .strictObject({ name: z.string(), model: z.string(), responseId: z.string().nullable() })
    .optional(),
  sampled: Sampled,
  sampling: Sampling,
  /** null where the upstream does not say. */
  usage: Usage.nullable(),
  /** What the answer cost, in millionths of the unit of money that the gateway's prices are in; left out where no price or usage is known. */
  costMicros: z.number().min(0).optional(),
  latencyMs: z.number().min(0),
  at: z.iso.datetime(),
});
export type Decision = z.infer<typeof Decision>;

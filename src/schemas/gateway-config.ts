import { z } from 'zod';
import { LimitsConfig } from './agent-limits';
import { Duration } from './duration';
import { Name } from './ids';
import { PrivacyConfig } from './privacy-config';

/** How clients and upstreams speak: OpenAI's chat completions, OpenAI's Responses, Anthropic's Messages, OpenAI's embeddings. */
export const ProtocolName = z.enum(['chat', 'responses', 'messages', 'embeddings']);
export type ProtocolName = z.infer<typeof ProtocolName>;

/** Where a secret is: never in the configuration itself, which people commit and paste. */
export const SecretReference = z.union([
  z.strictObject({ env: z.string().min(1) }),
  z.strictObject({ file: z.string().min(1) }),
]);
export type SecretReference = z.infer<typeof SecretReference>;

/** In units of money (all prices of a file in the same one) per million tokens, as providers list them. */
const PerMillion = z.number().min(0).max(1_000_000);

/** What a model costs. */
export const ModelPrice = z.strictObject({
  input: PerMillion,
  output: PerMillion,
  /** Of input that the upstream had in its cache; that of other input when left out. */
  cacheRead: PerMillion.optional(),
  /** Of input that it put there (Anthropic); that of other input when left out. */
  cacheWrite: PerMillion.optional(),
});
export type ModelPrice = z.infer<typeof ModelPrice>;

/** A server that answers for models whose weights are not ours. */
export const UpstreamConfig = z.strictObject({
  /** What stands before `/chat/completions`, e.g. `https://api.openai.com/v1`. */
  url: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, '')),
  protocols: z.array(ProtocolName).min(1).default(['chat', 'embeddings']),
  /** What is sent to it as its API key. Left out where it asks for none. */
  key: SecretReference.optional(),
  /** Whether it takes `return_token_ids` (vLLM): token ids and log-probabilities are then asked for and recorded, and hidden from the agent. */
  tokenIds: z.boolean().default(false),
  /** By what the model is called there. What a call cost is recorded with its decision; left out where no price is known. */
  prices: z.record(z.string().min(1), ModelPrice).default({}),
  timeouts: z
    .strictObject({
      connect: Duration.default('10s'),
      /**
       * Until the answer begins; one that is not streamed begins when all of it is there. The default is how long OpenAI's and Anthropic's
       * own clients wait: a shorter one cuts off what they would wait for, and for a longer one nobody is there.
       */
      firstByte: Duration.default('10m'),
      /** Between two pieces of an answer. */
      idle: Duration.default('2m'),
    })
    .prefault({}),
});
export type UpstreamConfig = z.infer<typeof UpstreamConfig>;

/** One way to answer for a model name. */
export const Target = z.strictObject({
  upstream: Name,
  /** What the model is called there; the name that the agent used when left out. */
  model: z.string().min(1).optional(),
  /** Its share of the sessions, beside the other targets' weights. */
  weight: z.number().positive().max(1_000_000).default(1),
});
export type Target = z.infer<typeof Target>;

/** What agents may write into `model`. Names that begin with `ratchet/` are our own policies'. */
const ModelName = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, 'expected printable characters without spaces')
  .refine((name) => !name.startsWith('ratchet/'), 'names under ratchet/ are those of policies');

/** What happens when an upstream gives no answer; src/gateway/upstreams/retry-rules.ts says which failures are tried again where. */
export const RetryConfig = z.strictObject({
  /** Requests for one call, the first included. */
  attempts: z.int().min(1).max(10).default(3),
  /** From a call's start to its last attempt. What asks for a longer wait is handed on with its `Retry-After`. */
  patience: Duration.default('30s'),
  /** Between two attempts at the same upstream, where it does not say how long to wait. */
  backOff: z
    .strictObject({ first: Duration.default('250ms'), longest: Duration.default('8s') })
    .prefault({}),
  /** Whether another upstream is asked where one has not begun to answer in time. It may still be at work: the answer may be paid for twice. */
  slow: z.boolean().default(false),
  /** Retries are at most this share of the calls, beyond the first few: an outage must not become a flood. */
  budget: z.number().min(0).max(1).default(0.2),
});
export type RetryConfig = z.infer<typeof RetryConfig>;

/** When an upstream that keeps failing is not asked any more, see src/gateway/upstreams/circuit-breaker.ts. */
export const BreakerConfig = z.strictObject({
  /** Failures in a row. */
  failures: z.int().min(1).max(1_000).default(5),
  /** Until it is tried again with one call; twice as long after each try that fails. */
  open: Duration.default('5s'),
  longest: Duration.default('2m'),
});
export type BreakerConfig = z.infer<typeof BreakerConfig>;

/** The gateway's configuration file (`RATCHET_GATEWAY_CONFIG`). */
export const GatewayConfig = z
  .strictObject({
    upstreams: z.record(Name, UpstreamConfig).default({}),
    models: z.record(ModelName, z.array(Target).min(1)).default({}),
    /**
     * Policies under names of the operator's: `{"router/planner": "planner-router"}` has the policy `planner-router` answer for the
     * model `router/planner`. An agent whose calls have several roles is given one name, and so one policy, for each.
     */
    policies: z.record(ModelName, Name).default({}),
    retries: RetryConfig.prefault({}),
    breaker: BreakerConfig.prefault({}),
    /** What is replaced before anything is written; all kinds, where nothing is said. */
    privacy: PrivacyConfig.prefault({}),
    limits: LimitsConfig.prefault({}),
  })
  .superRefine(({ upstreams, models, policies }, context) => {
    for (const name of Object.keys(policies)) {
      if (!Object.hasOwn(models, name)) continue;
      const message = 'this name is a model of upstreams already: expected another one';
      context.addIssue({ code: 'custom', path: ['policies', name], message });
    }
    for (const [model, targets] of Object.entries(models)) {
      for (const [i, { upstream }] of targets.entries()) {
        if (Object.hasOwn(upstreams, upstream)) continue;
        const known = Object.keys(upstreams).join(', ');
        context.addIssue({
          code: 'custom',
          path: ['models', model, i, 'upstream'],
          message: `there is no upstream of this name: expected one of ${known || '(none is configured)'}`,
        });
      }
    }
  });
export type GatewayConfig = z.infer<typeof GatewayConfig>;

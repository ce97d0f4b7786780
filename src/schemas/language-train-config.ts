import { z } from 'zod';

// How a language policy is trained. Defaults are those of the field's trainers (TRL, verl, prime-rl, SkyRL as of August 2026) where they agree, and named
// where they do not. A member that an algorithm does not use is refused, so that nobody tunes what does nothing.

const optimizer = {
  learningRate: z
    .number()
    .positive()
    .max(1)
    .default(1e-6)
    .describe(
      'AdamW: of the first step after the warm-up. 1e-6 is for full models of billions of parameters; adapters take 1e-5, small models 1e-4 to 2e-3.',
    ),
  schedule: z
    .strictObject({
      form: z.enum(['constant', 'cosine', 'linear']).default('constant'),
      warmUpSteps: z.int().min(0).default(0),
      finalRatio: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe('Of the learning rate, at the last step; not for constant.'),
    })
    .prefault({})
    .describe('How the learning rate goes over the steps of one iteration.'),
  beta1: z.number().min(0).lt(1).default(0.9).describe('AdamW: decay of the first moment.'),
  beta2: z.number().min(0).lt(1).default(0.999).describe('AdamW: decay of the second moment.'),
  epsilon: z
    .number()
    .positive()
    .default(1e-8)
    .describe('AdamW: added to the root of the second moment.'),
  weightDecay: z
    .number()
    .min(0)
    .default(0)
    .describe('Decoupled decay of matrices, per step, times the learning rate.'),
  maxGradNorm: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe('Gradients with a larger global norm are scaled down to it; null: never.'),
  resetOptimizer: z
    .boolean()
    .default(false)
    .describe('Start from zero moments instead of the parent checkpoint’s.'),
  passes: z.int().min(1).max(1000).default(1).describe('Times that each sample is trained on.'),
};

/** Samples per optimizer step where each stands for itself. */
const batch = z
  .int()
  .min(1)
  .max(100_000)
  .default(32)
  .describe('Samples per optimizer step; the last of a pass may have fewer.');
/** Optimizer steps per pass where samples are compared with each other. */
const minibatches = z
  .int()
  .min(1)
  .max(1000)
  .default(1)
  .describe('Optimizer steps per pass: the samples are shuffled and dealt out evenly.');

const Surrogate = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('clip'),
    low: z
      .number()
      .positive()
      .lt(1)
      .default(0.2)
      .describe('The ratio counts down to 1 − low (PPO’s 0.2; GSPO: 3e-4).'),
    high: z
      .number()
      .positive()
      .max(100)
      .default(0.28)
      .describe('… and up to 1 + high (DAPO’s 0.28; PPO: 0.2; GSPO: 4e-4).'),
    dual: z
      .number()
      .gt(1)
      .nullable()
      .default(3)
      .describe(
        'With a negative advantage a token counts at most this many times it (verl’s 3); null: no bound.',
      ),
  }),
  z.strictObject({
    kind: z.literal('cispo'),
    bound: z
      .number()
      .positive()
      .default(5)
      .describe('The importance weight’s upper bound (ScaleRL’s 5).'),
  }),
  z.strictObject({
    kind: z
      .literal('reinforce')
      .describe('−Â·log π, without any ratio: for samples of the policy itself.'),
  }),
]);

/** What is minimized, given advantages. */
export const PolicyObjective = z
  .strictObject({
    surrogate: Surrogate.prefault({ kind: 'clip' }),
    ratio: z
      .enum(['token', 'sequence'])
      .default('token')
      .describe('Of each token, or one for a whole sequence (GSPO).'),
    aggregation: z
      .union([
        z.enum(['token-mean', 'sequence-mean']),
        z.strictObject({
          constant: z.int().positive().describe('Tokens that an answer may have at most.'),
        }),
      ])
      .default('token-mean')
      .describe(
        'All tokens count the same (DAPO); all sequences do (GRPO, GSPO); or sums over a constant length (Dr.GRPO).',
      ),
    kl: z
      .number()
      .min(0)
      .default(1e-3)
      .describe(
        'Weight β of the KL to the champion (SkyRL’s and DeepSeek-R1’s; others: 0). It is cheap insurance against drift from what works.',
      ),
    entropyBonus: z.number().min(0).default(0).describe('Weight of the mean entropy, in nats.'),
    overlong: z
      .strictObject({ maxTokens: z.int().positive(), cacheTokens: z.int().positive() })
      .refine(({ maxTokens, cacheTokens }) => cacheTokens <= maxTokens, {
        error: 'expected at most maxTokens',
        path: ['cacheTokens'],
      })
      .nullable()
      .default(null)
      .describe(
        'Answers lose up to 1 of their reward over their last cacheTokens (DAPO: 20,480 and 4,096); null: length is free.',
      ),
    truncated: z
      .enum(['mask', 'keep'])
      .default('mask')
      .describe(
        'Whether an answer that was cut off is trained on: its end says nothing of the policy.',
      ),
    correction: z
      .strictObject({
        tokenCap: z
          .number()
          .positive()
          .default(2)
          .describe(
            'Each token is weighted with π_trainer/π_sampler, at most this (verl’s and SkyRL’s 2).',
          ),
        sequenceRange: z
          .tuple([z.number().min(0), z.number().positive()])
          .nullable()
          .default([0.5, 2])
          .describe('Sequences whose product of these ratios is outside are left out; null: none.'),
      })
      .nullable()
      .default(null)
      .describe(
        'For samplers that differ from the trainer. null takes the recorded log-probabilities as they are: right for our own engine, which computes the same.',
      ),
    maxAge: z
      .int()
      .min(0)
      .default(1)
      .describe('Episodes that were sampled more iterations ago are left out.'),
  })
  .refine(({ ratio, surrogate }) => ratio === 'token' || surrogate.kind === 'clip', {
    error: 'a ratio per sequence is for the clipped surrogate alone',
    path: ['ratio'],
  });
export type PolicyObjective = z.infer<typeof PolicyObjective>;

const objective = PolicyObjective.prefault({});
const groups = {
  zeroVariance: z
    .enum(['drop', 'keep'])
    .default('drop')
    .describe('Groups whose rewards are all the same teach nothing about each other.'),
};

/** Chosen by `algorithm`; what each is made of is in src/policies/language/algorithms. */
export const LanguageTrainConfig = z.discriminatedUnion('algorithm', [
  z.strictObject({ algorithm: z.literal('sft'), ...optimizer, batch }),
  z.strictObject({
    algorithm: z.literal('rejection-sampling'),
    ...optimizer,
    batch,
    minReward: z.number().default(1).describe('Episodes that earned at least this are imitated.'),
    perTask: z
      .int()
      .min(1)
      .default(1)
      .describe('At most so many of one task, the best first; of equals, the shortest.'),
  }),
  z.strictObject({
    algorithm: z.literal('reinforce'),
    ...optimizer,
    minibatches,
    objective,
    baseline: z
      .strictObject({
        decay: z.number().min(0).lt(1).default(0.9).describe('Of the running mean, per iteration.'),
      })
      .nullable()
      .prefault({})
      .describe('A running mean of the rewards; null: none.'),
  }),
  z.strictObject({ algorithm: z.literal('rloo'), ...optimizer, ...groups, minibatches, objective }),
  z.strictObject({
    algorithm: z.literal('grpo'),
    ...optimizer,
    ...groups,
    minibatches,
    objective,
    advantage: z
      .enum(['mean', 'std', 'batch-std'])
      .default('mean')
      .describe(
        'Less the group’s mean; divided by the group’s deviation (GRPO), or by the batch’s.',
      ),
  }),
  z.strictObject({
    algorithm: z.literal('ppo'),
    ...optimizer,
    minibatches,
    objective,
    discount: z.number().min(0).max(1).default(1).describe('γ, per token.'),
    lambda: z
      .number()
      .min(0)
      .max(1)
      .default(0.95)
      .describe('λ of generalized advantage estimation.'),
    valueCoefficient: z.number().min(0).default(0.5),
    valueClip: z.number().positive().nullable().default(0.2),
    whiten: z
      .boolean()
      .default(true)
      .describe('Advantages less their mean, divided by their deviation, over the batch.'),
  }),
  z.strictObject({
    algorithm: z.literal('dpo'),
    ...optimizer,
    batch,
    beta: z.number().positive().default(0.1),
    labelSmoothing: z.number().min(0).lt(0.5).default(0),
    pairsPerTask: z
      .int()
      .min(1)
      .default(1)
      .describe('The best against the worst, the next best against the next worst, …'),
  }),
]);
export type LanguageTrainConfig = z.infer<typeof LanguageTrainConfig>;
export type AlgorithmName = LanguageTrainConfig['algorithm'];
export type ConfigOf<Name extends AlgorithmName> = Extract<
  LanguageTrainConfig,
  { algorithm: Name }
>;

import { z } from 'zod';

const batch = (value: number): z.ZodDefault<z.ZodInt> =>
  z
    .int()
    .min(1)
    .max(1024)
    .default(value)
    .describe('Examples per optimizer step; the last batch of an iteration may be smaller.');

/** What every kind of training of a choice policy shares: Adam (Kingma & Ba 2015, arXiv:1412.6980) over shuffled batches. */
const optimizer = {
  beta1: z.number().min(0).lt(1).default(0.9).describe('Adam: decay of the first moment.'),
  beta2: z.number().min(0).lt(1).default(0.999).describe('Adam: decay of the second moment.'),
  epsilon: z
    .number()
    .positive()
    .default(1e-8)
    .describe('Adam: added to the root of the second moment.'),
  weightDecay: z
    .number()
    .min(0)
    .default(0)
    .describe(
      'Decoupled decay of the weight matrices, per step, times the learning rate; not of embeddings and biases.',
    ),
  maxGradNorm: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe('Gradients with a larger global norm are scaled down to it; null: never.'),
  logitAdjustment: z
    .record(z.string().min(1), z.number().min(-20).max(20))
    .default({})
    .describe(
      'By arm: subtracted from its logit in training only, so that the trained policy takes it more readily. ' +
        'For an arm that is rarely right in the data but must not be forgotten (arXiv:2007.07314).',
    ),
};

const parentOptimizer = {
  resetOptimizer: z
    .boolean()
    .default(false)
    .describe('Start from zero moments instead of the parent checkpoint’s.'),
};

const learningRate = (value: number): z.ZodDefault<z.ZodNumber> =>
  z
    .number()
    .positive()
    .max(1)
    .default(value)
    .describe('Adam: size of the first step; see finalLearningRate.');
const finalLearningRate = z
  .number()
  .min(0)
  .max(1)
  .default(1)
  .describe('Share of the learning rate that is left at the last step; it falls linearly.');
const rate = (value: number): z.ZodDefault<z.ZodNumber> => z.number().min(0).lt(1).default(value);
const dropout = (value: number): z.ZodDefault<z.ZodNumber> =>
  rate(value).describe('Share of hidden units that are dropped, each step anew.');
const featureDropout = (value: number): z.ZodDefault<z.ZodNumber> =>
  rate(value).describe('Share of a text’s features that are dropped, each step anew.');

/** How a policy is created from demonstrations: supervised training. */
export const CreateConfig = z.strictObject({
  ...optimizer,
  batch: batch(64),
  epochs: z.int().min(1).max(10_000).default(18).describe('Times that each demonstration is seen.'),
  learningRate: learningRate(2e-3),
  finalLearningRate,
  dropout: dropout(0.5),
  featureDropout: featureDropout(0.5),
});
export type CreateConfig = z.infer<typeof CreateConfig>;

const PolicyGradient = {
  clip: z
    .number()
    .positive()
    .max(10)
    .default(0.2)
    .describe('PPO: the ratio π/propensity counts only within 1 ± clip (arXiv:1707.06347).'),
  entropyBonus: z
    .number()
    .min(0)
    .default(0)
    .describe('Weight of the mean entropy (in nats) over the iteration’s own decisions.'),
  baseline: z
    .enum(['mean', 'leave-one-out', 'none'])
    .default('leave-one-out')
    .describe(
      'What is subtracted from a reward: the mean of all of the iteration, the mean of the others (unbiased), or nothing.',
    ),
};

/**
 * Stored feedback, replayed. With r̄ the mean reward of an arm that was taken on a text: cross-entropy on arms by r̄, and
 * −log(1 − Σ w·p) on the wrong ones, w = 1 − r̄, as far as no arm is known to be right.
 */
const ReplayConfig = z.strictObject({
  algorithm: z.literal('replay').describe('Stored feedback of this and earlier iterations.'),
  ...optimizer,
  ...parentOptimizer,
  batch: batch(128),
  epochs: z
    .number()
    .positive()
    .max(1000)
    .default(3)
    .describe(
      'Passes over the pool per iteration; may be a fraction. Each pass is a new permutation.',
    ),
  maxExamples: z
    .int()
    .min(1)
    .nullable()
    .default(30_000)
    .describe(
      'At most this many examples per iteration, repetitions counted, so that its cost does not grow with the store; null: no limit.',
    ),
  learningRate: learningRate(1.5e-3),
  finalLearningRate,
  dropout: dropout(0.5),
  featureDropout: featureDropout(0.5),
  wrongWeight: z
    .number()
    .min(0)
    .default(1)
    .describe('Weight of the loss on arms that are known to be wrong.'),
  decay: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe('Weight of an entry per iteration that passed since its last feedback.'),
  policyGradient: z
    .strictObject({
      weight: z
        .number()
        .positive()
        .describe('Weight of the policy gradient relative to the replayed feedback.'),
      ...PolicyGradient,
    })
    .nullable()
    .default(null)
    .describe(
      'A policy-gradient term on the iteration’s own decisions, besides the replayed ones; null: none.',
    ),
});

/**
 * Stored feedback, as a regression of what each arm is worth: for arms that differ little, such as upstreams of different prices, where
 * taking the right one is a matter of a few percent of the reward.
 */
const ValueConfig = z.strictObject({
  algorithm: z
    .literal('value')
    .describe('What each arm is worth, from stored feedback of this and earlier iterations.'),
  ...optimizer,
  ...parentOptimizer,
  batch: batch(128),
  epochs: z
    .number()
    .positive()
    .max(1000)
    .default(5)
    .describe('Passes over the pool per iteration; may be a fraction.'),
  maxExamples: z
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe('At most this many examples per iteration, repetitions counted; null: no limit.'),
  learningRate: learningRate(1.5e-3),
  finalLearningRate,
  dropout: dropout(0.5),
  featureDropout: featureDropout(0.5),
  decay: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe('Weight of an entry per iteration that passed since its last feedback.'),
});

/** Policy gradient on the iteration's own decisions with their exact propensities (Williams 1992, REINFORCE). */
const ReinforceConfig = z.strictObject({
  algorithm: z.literal('reinforce').describe('Policy gradient on this iteration alone.'),
  ...optimizer,
  ...parentOptimizer,
  batch: batch(128),
  epochs: z
    .number()
    .positive()
    .max(1000)
    .default(1)
    .describe(
      'Passes over the iteration’s decisions; after the first step the ratio corrects for the moved policy.',
    ),
  learningRate: learningRate(1e-3),
  finalLearningRate,
  dropout: dropout(0),
  featureDropout: featureDropout(0),
  ...PolicyGradient,
});

/** How one iteration trains a choice policy from reward alone. */
export const TrainConfig = z.discriminatedUnion('algorithm', [
  ReplayConfig,
  ReinforceConfig,
  ValueConfig,
]);
export type TrainConfig = z.infer<typeof TrainConfig>;
export type ReplayTrainConfig = z.infer<typeof ReplayConfig>;
export type ReinforceTrainConfig = z.infer<typeof ReinforceConfig>;

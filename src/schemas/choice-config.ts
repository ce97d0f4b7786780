import { z } from 'zod';
import { Arm } from './arm';

/**
 * A choice policy: hashed text features, an embedding bag, a multi-layer perceptron and a masked softmax over named arms.
 * It is the `config.json` of its checkpoints, so every field is part of the digest.
 */
export const ChoiceConfig = z.strictObject({
  kind: z.literal('choice').default('choice'),
  arms: z
    .array(Arm)
    .min(2)
    .refine((arms) => new Set(arms.map(({ name }) => name)).size === arms.length, {
      message: 'expected different names of arms',
    }),
  features: z
    .strictObject({
      /** Rows of the embedding table; a power of two. */
      buckets: z
        .int()
        .min(256)
        .max(1 << 20)
        .refine((n) => (n & (n - 1)) === 0, 'expected a power of two')
        .default(1 << 15),
      wordNgrams: z.array(z.int().min(1).max(3)).default([1, 2]),
      charNgrams: z.array(z.int().min(2).max(6)).default([3, 4]),
      /** Whether the policy also reads how long the conversation is and which tools it offers. @default false */
      context: z.boolean().optional(),
    })
    .prefault({}),
  network: z
    .strictObject({
      embedding: z.int().min(8).max(1024).default(128),
      hidden: z.int().min(8).max(4096).default(256),
    })
    .prefault({}),
  /** Share of the probability that is spread evenly over the available arms whenever the policy samples (temperature > 0). */
  explorationFloor: z.number().min(0).max(0.5).default(0.02),
  /**
   * What live traffic is drawn at where there are request arms: the agent's `temperature` is the upstream's there. Low enough, callers are
   * served nearly as evaluations measure the policy, which take the best arm, and near ties go on being tried out. @default 1
   */
  temperature: z.number().positive().max(10).optional(),
});
export type ChoiceConfig = z.infer<typeof ChoiceConfig>;

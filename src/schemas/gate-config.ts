import { z } from 'zod';

/** What a candidate has to show before a human is asked. See src/loop/gate.ts for the rule. */
export const GateConfig = z.strictObject({
  /** The scorer whose mean must be better: the one-sided lower bound of the paired difference is above 0. */
  target: z
    .string()
    .min(1)
    .describe('Scorer whose mean must rise: lower bound of the paired difference > 0.'),
  guardrails: z
    .array(
      z.strictObject({
        metric: z.string().min(1).describe('Scorer that must not fall.'),
        margin: z
          .number()
          .min(0)
          .default(0.02)
          .describe('How much it may fall: lower bound of the paired difference > -margin.'),
      }),
    )
    .default([])
    .describe('Metrics that must not get worse by more than their margin.'),
  confidence: z
    .number()
    .min(0.5)
    .max(0.9999)
    .default(0.95)
    .describe('One-sided confidence of each bound.'),
  resamples: z.int().min(200).max(100_000).default(10_000).describe('Bootstrap resamples.'),
  maxDropShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe('Above this share of tasks lost to infrastructure the gate refuses to answer.'),
  minTasks: z.int().min(2).default(30).describe('Fewer target tasks than this are no evidence.'),
});
export type GateConfig = z.infer<typeof GateConfig>;

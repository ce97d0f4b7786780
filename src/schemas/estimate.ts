import { z } from 'zod';

/** A mean with its two-sided 95 % interval (Wilson for 0/1 values). */
export const Estimate = z.strictObject({
  value: z.number(),
  low: z.number(),
  high: z.number(),
  n: z.int().min(0),
});
export type Estimate = z.infer<typeof Estimate>;

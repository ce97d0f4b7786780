import { z } from 'zod';

/** What a candidate would have earned on live decisions that it was not trained on; see src/stats/off-policy.ts. */
export const OffPolicy = z.strictObject({
  n: z.int().min(0),
  value: z.number(),
  logged: z.number(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
  effectiveN: z.number().min(0),
  refusal: z.string().nullable(),
});
export type OffPolicy = z.infer<typeof OffPolicy>;

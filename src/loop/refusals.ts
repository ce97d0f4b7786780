import { z } from 'zod';

/** A message that was ignored, and why: shown in `status` and in the current details, since a signal has no answer. */
export const Refusal = z.strictObject({
  message: z.string(),
  reason: z.string(),
  at: z.iso.datetime(),
});
export type Refusal = z.infer<typeof Refusal>;

/** Enough to see what is going wrong; a flood of bad signals must not grow the workflow's state. */
const KEPT = 10;

export function withRefusal(refusals: readonly Refusal[], refusal: Refusal): Refusal[] {
  return [...refusals, { ...refusal, reason: refusal.reason.slice(0, 500) }].slice(-KEPT);
}

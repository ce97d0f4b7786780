import { z } from 'zod';

/** Append-only. A correction is a new record that names the one it supersedes. */
export const RewardRecord = z.strictObject({
  id: z.string().min(1),
  trajectory: z.string().min(1),
  /** The decision that is rewarded; null rewards the whole trajectory. */
  decision: z.string().nullable(),
  scorer: z.string().min(1),
  scorerVersion: z.string().min(1),
  /** In the scorer's own units; a share or 0/1 in what ships. */
  value: z.number(),
  comment: z.string().max(4096).optional(),
  /** Who says so: a scorer's name, or the key that posted the feedback. */
  by: z.string().min(1),
  at: z.iso.datetime(),
  supersedes: z.string().nullable(),
});
export type RewardRecord = z.infer<typeof RewardRecord>;

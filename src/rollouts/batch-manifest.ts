import { z } from 'zod';
import { ObjectRef } from '../schemas/object-ref';

const Counts = z.record(z.string(), z.int().min(0));

/** What a rollout activity commits: its segments, and what happened to its rollouts. */
export const BatchManifest = z.strictObject({
  formatVersion: z.literal(1),
  checkpoint: z.string(),
  segments: z.array(ObjectRef),
  rollouts: z.int().min(0),
  outcomes: Counts,
  drops: Counts,
});
export type BatchManifest = z.infer<typeof BatchManifest>;

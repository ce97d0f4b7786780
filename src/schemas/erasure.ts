import { z } from 'zod';
import { Sha256Hex } from './object-ref';

/** What was erased and must not come back. It names nobody: sessions by hashes of their ids, users by the pseudonyms that are recorded of them. */
export const ErasureRecord = z.strictObject({
  formatVersion: z.literal(1),
  at: z.iso.datetime(),
  /** sha256 of ids of sessions, and of the names under which feedback on their upstreams' answers lies (`answers/<agent>/<id>`). */
  trajectories: z.array(Sha256Hex),
  users: z.array(z.string().min(1)),
});
export type ErasureRecord = z.infer<typeof ErasureRecord>;

import { z } from 'zod';

/** What a person may hold back: what upstreams get, what is asked of a model name, what an agent asks. */
export const PausedKind = z.enum(['upstream', 'model', 'agent']);
export type PausedKind = z.infer<typeof PausedKind>;

/** New calls are held back until somebody resumes them; those under way are finished. */
export const Pause = z.strictObject({
  formatVersion: z.literal(1),
  kind: PausedKind,
  name: z.string().min(1).max(200),
  /** Told to those who are refused. */
  reason: z.string().max(500),
  at: z.iso.datetime(),
});
export type Pause = z.infer<typeof Pause>;

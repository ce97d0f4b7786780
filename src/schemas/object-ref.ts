import { z } from 'zod';

/** A committed object by key, with what its bytes must be. This, never the bytes, crosses a workflow. */
export const ObjectRef = z.strictObject({
  key: z.string().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  sizeBytes: z.int().min(0),
});
export type ObjectRef = z.infer<typeof ObjectRef>;

import { z } from 'zod';

export const Sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits');

/**
 * Names a committed object and what must be in it: small enough for a workflow's history, and enough to notice any change.
 * This, never the bytes, crosses a workflow.
 */
export const ObjectRef = z.strictObject({
  key: z.string().min(1),
  sha256: Sha256Hex,
  sizeBytes: z.int().min(0),
});
export type ObjectRef = z.infer<typeof ObjectRef>;

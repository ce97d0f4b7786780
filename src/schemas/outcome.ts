import { z } from 'zod';
import { Json } from './json';

/**
 * How an attempt ended. `completed` becomes `scored` once its rewards are known; the classification table is in
 * src/scoring/classify.ts. An infrastructure failure is never a reward of 0: it is retried, then dropped and counted.
 */
export const AttemptOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('completed'), result: Json }),
  z.strictObject({ kind: z.literal('policyFailed'), reason: z.string() }),
  z.strictObject({ kind: z.literal('infraFailed'), reason: z.string(), detail: z.string() }),
  z.strictObject({ kind: z.literal('unresolved'), reason: z.string(), detail: z.string() }),
]);
export type AttemptOutcome = z.infer<typeof AttemptOutcome>;

import { z } from 'zod';
import { Decision } from '../../schemas/decision';
import { Name } from '../../schemas/ids';
import { LiveIntent, LiveUse } from '../../schemas/live-line';

/** What the gateway writes into its spool. Messages and toolsets are parts, whose texts are lines of a segment as they are. */
export const SpooledCall = z.discriminatedUnion('type', [
  /** A call came in. */
  z.strictObject({ type: z.literal('intent'), intent: LiveIntent }),
  /** It was answered by a decision. */
  z.strictObject({
    type: z.literal('decision'),
    session: z.string().min(1),
    agent: Name,
    decision: Decision,
  }),
  /** It was answered, and nothing was decided in it. */
  z.strictObject({ type: z.literal('use'), use: LiveUse }),
  /** It was answered without one, or it failed and its client knows. */
  z.strictObject({ type: z.literal('end'), intent: z.string(), status: z.int() }),
]);
export type SpooledCall = z.infer<typeof SpooledCall>;

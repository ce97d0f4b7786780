import { z } from 'zod';
import { Name } from './ids';
import { SegmentLine } from './trajectory';

/** A live call as it came in, noted before any policy was asked. */
export const LiveIntent = z.strictObject({
  /** The request's id (`x-request-id`). */
  id: z.string().min(1),
  session: z.string().min(1),
  agent: Name,
  /** As the client asked for it. */
  model: z.string(),
  /** A pseudonym of who used the agent, where the request says. */
  user: z.string().optional(),
  at: z.iso.datetime(),
});
export type LiveIntent = z.infer<typeof LiveIntent>;

/** One line of a live segment. An unresolved call came in, and its process died before it answered: it is counted, and teaches nothing. */
export const LiveLine = z.discriminatedUnion('type', [
  ...SegmentLine.options,
  z.strictObject({ type: z.literal('unresolved'), call: LiveIntent }),
]);
export type LiveLine = z.infer<typeof LiveLine>;

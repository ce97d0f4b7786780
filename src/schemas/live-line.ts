import { z } from 'zod';
import { Usage } from './decision';
import { ProtocolName } from './gateway-config';
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

/** A live call that was answered and in which nothing was decided (embeddings): what it used. It teaches nothing, and holds none of its texts. */
export const LiveUse = z.strictObject({
  ...LiveIntent.shape,
  protocol: ProtocolName,
  /** Which upstream answered, and under what model name there. */
  upstream: z.strictObject({ name: z.string(), model: z.string() }),
  /** null where the upstream does not say. */
  usage: Usage.nullable(),
  /** As of a decision. */
  costMicros: z.number().min(0).optional(),
  latencyMs: z.number().min(0),
});
export type LiveUse = z.infer<typeof LiveUse>;

/** One line of a live segment. An unresolved call came in, and its process died before it answered: it is counted, and teaches nothing. */
export const LiveLine = z.discriminatedUnion('type', [
  ...SegmentLine.options,
  z.strictObject({ type: z.literal('unresolved'), call: LiveIntent }),
  z.strictObject({ type: z.literal('use'), use: LiveUse }),
]);
export type LiveLine = z.infer<typeof LiveLine>;

import { z } from 'zod';
import { Decision } from './decision';
import { Json } from './json';
import { Message, Tool } from './message';
import { AttemptOutcome } from './outcome';

/** The decisions of one attempt (or one live session) as a message graph. Immutable; rewards are separate records. */
export const Trajectory = z.strictObject({
  /** The session's id. */
  id: z.string().min(1),
  /** The task that was rolled out; null for live traffic. */
  task: z.string().nullable(),
  agent: z.string(),
  /** Executions of this rollout so far, from 1. */
  attempt: z.int().positive(),
  /** Which of the group's members (repeats of one task) this is, from 0; a later pass over the tasks counts on. */
  member: z.int().min(0),
  outcome: AttemptOutcome.nullable(),
  decisions: z.array(Decision),
  metadata: z.record(z.string(), Json).optional(),
});
export type Trajectory = z.infer<typeof Trajectory>;

/** One line of a segment. Messages and toolsets are stored once per segment, before the first trajectory that names them. */
export const SegmentLine = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('message'), id: z.string(), message: Message }),
  z.strictObject({ type: z.literal('toolset'), id: z.string(), tools: z.array(Tool) }),
  z.strictObject({ type: z.literal('trajectory'), trajectory: Trajectory }),
]);
export type SegmentLine = z.infer<typeof SegmentLine>;

import { z } from 'zod';
import { Message } from './message';
import { RewardRecord } from './reward';

/**
 * What somebody said about an answer or a session, at any time after it: a reward record that need not measure anything, since a comment or a
 * better answer says something without a number. Append-only; a correction is a new record that names the one it supersedes.
 */
export const FeedbackRecord = RewardRecord.extend({
  /** null: nothing was measured. */
  value: z.number().nullable(),
  /** What would have been the better answer. */
  demonstration: Message.optional(),
});
export type FeedbackRecord = z.infer<typeof FeedbackRecord>;

/**
 * In place of a session, where feedback names an answer by the id that an upstream gave it: no gateway knows whose session that was, so the
 * two are joined when they are read. Sessions of live traffic begin with `live/` or `session/`, so none is of this name.
 */
export function answerTrajectory(agent: string, responseId: string): string {
  return `answers/${agent}/${responseId}`;
}

/** Whether feedback on this trajectory is on live traffic of this agent. */
export function isOfAgent(agent: string, trajectory: string): boolean {
  return ['live', 'session', 'answers'].some((kind) => trajectory.startsWith(`${kind}/${agent}/`));
}

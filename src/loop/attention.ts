import { z } from 'zod';
import { DEFAULT_TASK_QUEUE, taskQueues } from './task-queues';

/** Why a workflow waits for somebody, and the exact line that lets it go on. */
export const AttentionNote = z.strictObject({
  step: z.string(),
  reason: z.string(),
  line: z.string(),
});
export type AttentionNote = z.infer<typeof AttentionNote>;

/** A task queue on which work of this workflow waits while nobody polls it. */
export const UnattendedQueue = z.strictObject({
  queue: z.string().min(1).max(1000),
  /** Since when the work has been waiting there. */
  since: z.iso.datetime(),
});
export type UnattendedQueue = z.infer<typeof UnattendedQueue>;

/** What an evaluation tells the run or promotion that waits for it; null once it goes on. */
export const ChildAttention = z.strictObject({
  workflowId: z.string(),
  note: AttentionNote.nullable(),
});
export type ChildAttention = z.infer<typeof ChildAttention>;

/**
 * What to do about a queue that nobody polls.
 *
 * @param control the queue of the workflow itself, after which the others are named.
 */
export function unattendedNote(
  step: string,
  { queue, since }: UnattendedQueue,
  control: string,
): AttentionNote {
  const roles = Object.entries(taskQueues(control)).flatMap(([role, name]) =>
    name === queue ? [role] : [],
  );
  const setting = control === DEFAULT_TASK_QUEUE ? '' : `RATCHET_TASK_QUEUE=${control} `;
  return {
    step,
    reason: `nobody polls ${queue}: work waits there since ${since} and starts by itself once a worker is up`,
    line: `${setting}npm run ratchet -- worker --roles ${roles[0] ?? 'control,rollout,gpu'}`,
  };
}

/** The queues after a queue was reported as unattended, or attended again; the same array where nothing changed. */
export function withUnattended(
  known: readonly UnattendedQueue[],
  reported: UnattendedQueue,
): readonly UnattendedQueue[] {
  return known.some(({ queue }) => queue === reported.queue) ? known : [...known, reported];
}

export function withAttended(
  known: readonly UnattendedQueue[],
  queue: string,
): readonly UnattendedQueue[] {
  return known.some((one) => one.queue === queue)
    ? known.filter((one) => one.queue !== queue)
    : known;
}

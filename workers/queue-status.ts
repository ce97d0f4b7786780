import type { Client } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { taskQueues } from '../src/loop/task-queues';

const { TaskQueueType } = temporal.api.enums.v1;

/** Milliseconds of a time on the wire; null where there is none. */
export function toMs(
  time:
    { readonly seconds?: unknown; readonly nanos?: number | null | undefined } | null | undefined,
): number | null {
  if (time?.seconds === null || time?.seconds === undefined) return null;
  return Number(time.seconds) * 1000 + (time.nanos ?? 0) / 1e6;
}

/** When a queue's activities were last polled for, by the server's clock; null where it knows no poller. */
export async function lastPollMs(client: Client, queue: string): Promise<number | null> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
  });
  const polls = (pollers ?? []).map(({ lastAccessTime }) => toMs(lastAccessTime) ?? -Infinity);
  return polls.length === 0 ? null : Math.max(...polls);
}

export interface QueueStatus {
  readonly queue: string;
  readonly role: string;
  /** null: nobody has polled it for minutes. An idle worker polls once a minute; a busy one when it has a slot free. */
  readonly lastPoll: string | null;
}

/** Who polls what, asked from outside: while no control worker runs, no workflow can say it. */
export async function queueStatus(client: Client, taskQueue: string): Promise<QueueStatus[]> {
  return Promise.all(
    Object.entries<string>({ ...taskQueues(taskQueue) }).map(async ([role, queue]) => {
      const last = await lastPollMs(client, queue);
      return { queue, role, lastPoll: last === null ? null : new Date(last).toISOString() };
    }),
  );
}

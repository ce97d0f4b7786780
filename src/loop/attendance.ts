import type { UnattendedQueue } from './attention';

/** An activity that no worker has taken yet. */
export interface WaitingWork {
  /** Workflow id and run id, as one text. */
  readonly workflow: string;
  readonly queue: string;
  readonly since: string;
}

/** What one look at the server showed. */
export interface AttendanceView {
  readonly waiting: readonly WaitingWork[];
  /** Queues whose activities are being executed: their workers beat, or the server would have said so. */
  readonly busy: ReadonlySet<string>;
  /** The latest poll of each queue, by the server's clock, in milliseconds; none where it knows no poller. */
  readonly lastPollMs: ReadonlyMap<string, number>;
}

/** What is remembered of a queue from one look to the next. */
interface QueueMemory {
  readonly lastPollMs: number;
  /** When work was first seen waiting there without a sign of life, by our own monotonic clock; null while it lives. */
  readonly silentSinceMs: number | null;
}

export type AttendanceMemory = ReadonlyMap<string, QueueMemory>;

/** Work that waits on a queue without a sign of life. */
export interface SilentQueue extends UnattendedQueue {
  /** Whether the silence has lasted long enough to say so. Before that, what a workflow was told stands. */
  readonly isUnattended: boolean;
}

export interface Attendance {
  readonly memory: AttendanceMemory;
  /** By workflow: the queues on which its work waits in silence. */
  readonly silent: ReadonlyMap<string, readonly SilentQueue[]>;
}

/**
 * Decides which queues nobody polls: work waits there, and for `patienceMs` there was no sign of life, neither a poll nor
 * work in progress. An idle worker polls once a minute only, but takes what waits at once; so a queue with work on it that
 * is silent has nobody. A worker that is busy with other work is no reason to start another, so it counts as life.
 *
 * The times of the server are compared with each other, never with ours, so wrong clocks do no harm.
 *
 * @param nowMs a monotonic clock.
 */
export function decideAttendance(
  memory: AttendanceMemory,
  view: AttendanceView,
  nowMs: number,
  patienceMs: number,
): Attendance {
  const queues = new Set([...view.waiting.map(({ queue }) => queue), ...view.lastPollMs.keys()]);
  const next = new Map<string, QueueMemory>();
  for (const queue of queues) {
    const before = memory.get(queue);
    const lastPollMs = Math.max(
      before?.lastPollMs ?? -Infinity,
      view.lastPollMs.get(queue) ?? -Infinity,
    );
    // On the first look a poller that is known may have died minutes ago: the next look tells.
    const hasPolled = before !== undefined && lastPollMs > before.lastPollMs;
    const isWaiting = view.waiting.some((one) => one.queue === queue);
    const isAlive = hasPolled || view.busy.has(queue);
    next.set(queue, {
      lastPollMs,
      silentSinceMs: !isWaiting || isAlive ? null : (before?.silentSinceMs ?? nowMs),
    });
  }
  const silent = new Map<string, SilentQueue[]>();
  for (const { workflow, queue, since } of view.waiting) {
    const silentSinceMs = next.get(queue)?.silentSinceMs ?? null;
    if (silentSinceMs === null) continue;
    const ofWorkflow = silent.get(workflow) ?? [];
    if (ofWorkflow.some((one) => one.queue === queue)) continue; // a second shard waits too
    const isUnattended = nowMs - silentSinceMs >= patienceMs;
    silent.set(workflow, [...ofWorkflow, { queue, since, isUnattended }]);
  }
  return { memory: next, silent };
}

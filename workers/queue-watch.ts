import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import type { RolloutActivities } from '../activities/rollout';
import type { ScoreActivities } from '../activities/score';
import type { TrainActivities } from '../activities/train';
import { describeError } from '../src/errors';
import {
  decideAttendance,
  type AttendanceMemory,
  type SilentQueue,
  type WaitingWork,
} from '../src/loop/attendance';
import type { UnattendedQueue } from '../src/loop/attention';
import { taskQueues, type TaskQueues } from '../src/loop/task-queues';
import { queueAttendedSignal, queueUnattendedSignal } from '../workflows/messages';
import { lastPollMs, toMs } from './queue-status';

const { PendingActivityState } = temporal.api.enums.v1;

type QueuedActivity = keyof RolloutActivities | keyof ScoreActivities | keyof TrainActivities;

/** Where an activity waits: workflows/activity-proxies.ts, seen from outside. */
const QUEUE_OF: Readonly<Record<QueuedActivity, Exclude<keyof TaskQueues, 'control'>>> = {
  rollOut: 'rollout',
  score: 'rollout',
  createPolicy: 'gpu',
  train: 'gpu',
};

/** Workflows that put work on those queues; a promotion hears it from its evaluation. */
const WATCHED = ['trainingRun', 'evaluation'];

const EVERY_MS = 8_000;
/** Longer than a worker takes to come back; with the heartbeat time-out and two looks it is said after 55 s at most. */
const PATIENCE_MS = 25_000;
/** A workflow that does not answer, because its code is stuck, must not keep the others from being told. */
const TELL_MS = 5_000;
/** Requests at once: a look at many runs must not be a burst. */
const SIDE_BY_SIDE = 8;

export interface QueueWatchOptions {
  readonly client: Client;
  /** The queue of the workflows, after which the others are named. */
  readonly taskQueue: string;
  readonly warn: (line: string) => void;
  readonly everyMs?: number;
  readonly patienceMs?: number;
}

export interface QueueWatch {
  stop(): Promise<void>;
}

interface OpenWorkflow {
  readonly workflowId: string;
  readonly runId: string;
}

const keyOf = ({ workflowId, runId }: OpenWorkflow): string => `${workflowId}\n${runId}`;

/**
 * Tells runs and evaluations whose work waits on a queue that nobody polls, and tells them again when somebody does. It
 * runs beside the control worker. Signals are sent on transitions only, so that a history grows by what happened and not
 * by the time that passed: what a workflow knows already is asked first, and several watches tell it once.
 */
export function startQueueWatch({
  client,
  taskQueue,
  warn,
  everyMs = EVERY_MS,
  patienceMs = PATIENCE_MS,
}: QueueWatchOptions): QueueWatch {
  const queues = taskQueues(taskQueue);
  const stopped = new AbortController();
  setMaxListeners(0, stopped.signal); // every request listens
  let memory: AttendanceMemory = new Map();
  /** Workflows that have been told, or may have been by somebody before us: what is to be taken back. */
  let told: ReadonlySet<string> | null = null;
  let trouble = '';

  /** Once, and not again at every look for as long as it lasts. */
  const complain = (line: string): void => {
    if (line !== trouble && !stopped.signal.aborted) warn(line);
    trouble = line;
  };

  const openWorkflows = async (): Promise<OpenWorkflow[]> => {
    const open: OpenWorkflow[] = [];
    const types = WATCHED.map((type) => `'${type}'`).join(', ');
    for await (const { workflowId, runId } of client.workflow.list({
      query: `TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running' AND WorkflowType IN (${types})`,
    })) {
      open.push({ workflowId, runId });
    }
    return open;
  };

  /** What waits for a worker, and the queues whose work is being done. */
  const pendingOf = async (
    workflow: OpenWorkflow,
  ): Promise<{ waiting: WaitingWork[]; busy: string[] }> => {
    const waiting: WaitingWork[] = [];
    const busy: string[] = [];
    const handle = client.workflow.getHandle(workflow.workflowId, workflow.runId);
    for (const activity of (await handle.describe()).raw.pendingActivities ?? []) {
      const name = activity.activityType?.name ?? '';
      if (!Object.hasOwn(QUEUE_OF, name)) continue;
      const queue = queues[QUEUE_OF[name as QueuedActivity]];
      if (activity.state === PendingActivityState.PENDING_ACTIVITY_STATE_STARTED) busy.push(queue);
      if (activity.state !== PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED) continue;
      const sinceMs = toMs(activity.scheduledTime);
      if (sinceMs === null) continue; // it waits for its next attempt, not for a worker
      waiting.push({
        workflow: keyOf(workflow),
        queue,
        since: new Date(sinceMs).toISOString(),
      });
    }
    return { waiting, busy };
  };

  /** Sends what changed since the workflow was told last. @returns whether it knows of an unattended queue now. */
  const tell = async (workflow: OpenWorkflow, silent: readonly SilentQueue[]): Promise<boolean> => {
    const handle = client.workflow.getHandle(workflow.workflowId, workflow.runId);
    const status = await handle.query<{ readonly unattended?: readonly UnattendedQueue[] }, []>(
      'status',
    );
    const known = (status.unattended ?? []).map(({ queue }) => queue);
    for (const { queue, since, isUnattended } of silent)
      if (isUnattended && !known.includes(queue))
        await handle.signal(queueUnattendedSignal, { queue, since });
    for (const queue of known)
      if (!silent.some((one) => one.queue === queue))
        await handle.signal(queueAttendedSignal, { queue });
    return silent.length > 0;
  };

  const look = async (): Promise<void> => {
    const open = await openWorkflows();
    const pending = await sideBySide(open, (workflow) =>
      unlessClosed(() => pendingOf(workflow), { waiting: [], busy: [] }),
    );
    const polls = new Map<string, number>();
    for (const queue of [queues.rollout, queues.gpu]) {
      const last = await lastPollMs(client, queue);
      if (last !== null) polls.set(queue, last);
    }
    const { memory: next, silent } = decideAttendance(
      memory,
      {
        waiting: pending.flatMap(({ waiting }) => waiting),
        busy: new Set(pending.flatMap(({ busy }) => busy)),
        lastPollMs: polls,
      },
      performance.now(),
      patienceMs,
    );
    memory = next;
    const known = new Set<string>();
    await sideBySide(open, async (workflow) => {
      const key = keyOf(workflow);
      const mine = silent.get(key) ?? [];
      // On the first look another watch may have told anybody.
      if (!mine.some(({ isUnattended }) => isUnattended) && told?.has(key) === false) return;
      try {
        const isTold = await unlessClosed(
          () => client.withDeadline(Date.now() + TELL_MS, () => tell(workflow, mine)),
          false,
        );
        if (isTold) known.add(key);
      } catch (error) {
        known.add(key); // whether it was told is not known: the next look asks
        complain(`the workflow ${workflow.workflowId} was not told: ${describeError(error)}`);
      }
    });
    told = known;
  };

  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await client.withAbortSignal(stopped.signal, look);
      } catch (error) {
        // The server is away, or slow: the next look finds it, and nothing else depends on it.
        complain(`the queues could not be watched: ${describeError(error)}`);
      }
      // Not in step with the watches of other control workers, so that the first of them tells and the others see it told.
      const wait = everyMs * (0.8 + 0.4 * Math.random());
      await delay(wait, undefined, { signal: stopped.signal }).catch(() => undefined); // stopped: the loop ends
    }
  };

  const running = run();
  return {
    async stop() {
      stopped.abort();
      await running;
    },
  };
}

/** `fallback` for a workflow that has closed meanwhile: nobody has to be told. */
async function unlessClosed<T>(run: () => Promise<T>, fallback: T): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return fallback;
    throw error;
  }
}

async function sideBySide<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += SIDE_BY_SIDE)
    results.push(...(await Promise.all(items.slice(from, from + SIDE_BY_SIDE).map(run))));
  return results;
}

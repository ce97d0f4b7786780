import type { WorkflowHandle } from '@temporalio/client';
import { InvalidInputError } from '../../src/errors';
import type { RollOutInput } from '../../src/schemas/stages';

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
type Event = NonNullable<History['events']>[number];

/** What the history of a training run of one iteration says about it. Times in milliseconds since 1970. */
export interface Iteration {
  /** From its first rollouts to the end of what it selects on: what the run decided and what came back. */
  readonly events: number;
  /** In the same part of the history: the server wakes the workflow, up to three events each time; results that come in together share one. */
  readonly workflowTaskEvents: number;
  /** The first shard's activity was scheduled. */
  readonly startedAt: number;
  /** The last shard's result was recorded. */
  readonly rolledOutAt: number;
  readonly scoredAt: number;
}

/** @throws {InvalidInputError} if the run did not finish an iteration. */
export function iterationOf({ events }: History): Iteration {
  const all = events ?? [];
  const shards = all.filter((event) => inputOf(event)?.selection?.split === 'train');
  const first = shards[0];
  // An iteration ends where the gate begins.
  const end = all.findIndex((event) => event.startChildWorkflowExecutionInitiatedEventAttributes);
  if (first === undefined || end === -1) {
    throw new InvalidInputError('the run finished no iteration: see the logs of its workers');
  }
  const start = all.indexOf(first);
  const inside = all.slice(start, end);
  const workflowTasks = inside.filter(isOfWorkflowTask).length;
  const scheduledScore = inside.find((event) => typeOf(event) === 'score');
  return {
    events: inside.length - workflowTasks,
    workflowTaskEvents: workflowTasks,
    startedAt: timeOf(first),
    rolledOutAt: Math.max(...shards.map((shard) => timeOf(completionOf(shard, all)))),
    scoredAt: timeOf(completionOf(scheduledScore, all)),
  };
}

function isOfWorkflowTask(event: Event): boolean {
  return Boolean(
    event.workflowTaskScheduledEventAttributes ??
    event.workflowTaskStartedEventAttributes ??
    event.workflowTaskCompletedEventAttributes,
  );
}

function typeOf(event: Event): string | null | undefined {
  return event.activityTaskScheduledEventAttributes?.activityType?.name;
}

function inputOf(event: Event): RollOutInput | null {
  if (typeOf(event) !== 'rollOut') return null;
  const [payload] = event.activityTaskScheduledEventAttributes?.input?.payloads ?? [];
  return JSON.parse(Buffer.from(payload?.data ?? []).toString('utf8')) as RollOutInput;
}

function completionOf(scheduled: Event | undefined, all: readonly Event[]): Event | undefined {
  return all.find(
    ({ activityTaskCompletedEventAttributes: completed }) =>
      String(completed?.scheduledEventId) === String(scheduled?.eventId),
  );
}

function timeOf(event: Event | undefined): number {
  const { seconds, nanos } = event?.eventTime ?? {};
  return Number(seconds ?? Number.NaN) * 1_000 + (nanos ?? 0) / 1e6;
}

import { activityInfo, Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { describeError, RatchetError, TransientError } from '../src/errors';
import { RETRIES, retryDelayMs } from '../src/loop/retries';
import { whileBeating } from './heartbeat';

/** What RETRIES calls an error. */
function classOf(error: unknown): 'Unexpected' | RatchetError['code'] {
  return error instanceof RatchetError ? error.code : 'Unexpected';
}

/**
 * What an activity throws, as Temporal's failure, by the table in src/loop/retries.ts. Cancellation passes untouched.
 *
 * @param failures how often this execution has failed with an error of this class, this time included.
 */
export function toFailure(error: unknown, failures = 1): Error {
  if (error instanceof CancelledFailure || error instanceof ApplicationFailure) return error;
  const type = classOf(error);
  const rule = RETRIES[type];
  const asked = error instanceof TransientError ? error.retryAfterMs : undefined;
  const nonRetryable = failures >= rule.attempts;
  return ApplicationFailure.create({
    message: describeError(error),
    type,
    nonRetryable,
    ...(nonRetryable ? {} : { nextRetryDelay: waitMs(asked, retryDelayMs(rule, failures)) }),
    ...(error instanceof RatchetError ? { details: [error.context] } : {}),
    ...(error instanceof Error ? { cause: error } : {}),
  });
}

/** From here on our own wait is kept as well: who asks for none and fails on must not use the attempts up in a second. */
const PATIENT_FROM_MS = 4_000;

/** Never 0: Temporal takes a delay of 0 for "no retry" and ends the activity. */
function waitMs(asked: number | undefined, ours: number): number {
  if (asked === undefined) return ours;
  return Math.max(1, ours < PATIENT_FROM_MS ? asked : Math.max(asked, ours));
}

/** Executions whose failures are remembered at most; the oldest go first. */
const REMEMBERED = 1_000;

/**
 * Counts the failures of each execution by class. In this process only: Temporal's own `attempt` counts the deaths of
 * workers too, and five of them must not make the first unexpected error the last. Where several workers share a queue
 * each counts its own, so that it takes a little longer.
 */
function createTally(): {
  add(execution: string, type: string): number;
  forget(execution: string): void;
} {
  const executions = new Map<string, Map<string, number>>();
  return {
    add(execution, type) {
      const counts = executions.get(execution) ?? new Map<string, number>();
      executions.delete(execution); // the newest last
      executions.set(execution, counts);
      for (const oldest of executions.keys()) {
        if (executions.size <= REMEMBERED) break;
        executions.delete(oldest);
      }
      const failures = (counts.get(type) ?? 0) + 1;
      counts.set(type, failures);
      return failures;
    },
    forget: (execution) => void executions.delete(execution),
  };
}

type Activity = (input: never) => Promise<unknown>;

/**
 * The same activities, with every failure mapped; and alive from their first moment on: a store that is away while an
 * activity reads its input must not look like a dead worker.
 */
export function withFailureMap<T extends Record<keyof T, Activity>>(activities: T): T {
  const tally = createTally();
  const mapped = Object.entries(activities as Record<string, Activity>).map(([name, run]) => [
    name,
    async (input: never): Promise<unknown> => {
      const { workflowExecution, activityId } = activityInfo();
      const execution = `${workflowExecution?.runId ?? ''}/${activityId}`;
      try {
        const result = await whileBeating(() => run(input));
        tally.forget(execution);
        return result;
      } catch (error) {
        const { cancellationSignal } = Context.current();
        // What else fails on the way out of a cancelled activity is a consequence of the cancellation.
        if (cancellationSignal.aborted) throw cancellationSignal.reason;
        const failure = toFailure(error, tally.add(execution, classOf(error)));
        if (failure instanceof ApplicationFailure && failure.nonRetryable) tally.forget(execution);
        throw failure;
      }
    },
  ]);
  return Object.fromEntries(mapped) as T;
}

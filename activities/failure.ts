import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { describeError, RatchetError, TransientError, type ErrorCode } from '../src/errors';

/** Whether Temporal should try again, by class: the one table that decides it. */
const IS_RETRYABLE: Readonly<Record<ErrorCode, boolean>> = {
  InvalidInput: false,
  Shape: false,
  UnsupportedOp: false,
  NotFound: false,
  Integrity: false,
  Conflict: false,
  Numerical: false,
  Transient: true,
};

/**
 * What an activity throws, as Temporal's failure. Cancellation passes untouched; an error that is none of ours is a bug
 * or something unforeseen of the machine, and is worth the few retries that the activity's policy allows.
 */
export function toFailure(error: unknown): Error {
  if (error instanceof CancelledFailure || error instanceof ApplicationFailure) return error;
  if (error instanceof RatchetError) {
    return ApplicationFailure.create({
      message: describeError(error),
      type: error.code,
      nonRetryable: !IS_RETRYABLE[error.code],
      details: [error.context],
      cause: error,
      ...(error instanceof TransientError && error.retryAfterMs !== undefined
        ? { nextRetryDelay: error.retryAfterMs }
        : {}),
    });
  }
  return ApplicationFailure.create({
    message: describeError(error),
    type: 'Unexpected',
    nonRetryable: false,
    ...(error instanceof Error ? { cause: error } : {}),
  });
}

type Activity = (input: never) => Promise<unknown>;

/** The same activities, with every failure mapped. */
export function withFailureMap<T extends Record<keyof T, Activity>>(activities: T): T {
  const mapped = Object.entries(activities as Record<string, Activity>).map(([name, run]) => [
    name,
    async (input: never): Promise<unknown> => {
      try {
        return await run(input);
      } catch (error) {
        throw toFailure(error);
      }
    },
  ]);
  return Object.fromEntries(mapped) as T;
}

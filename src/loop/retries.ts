import type { ErrorCode } from '../errors';

/** What can end an attempt of an activity: a class of src/errors.ts, an error that is none of ours, or the end of its worker. */
export type FailureClass = ErrorCode | 'Unexpected' | 'WorkerLost';

export interface RetryRule {
  /** Attempts in all that may end like this. */
  readonly attempts: number;
  /** The wait before the second attempt; it doubles up to `longestMs`. */
  readonly firstMs: number;
  readonly longestMs: number;
  /** When they are used up: `park` waits for a person, who mends it and sends `retry`; `fail` is the workflow's end. */
  readonly then: 'park' | 'fail';
}

const once = (then: RetryRule['then']): RetryRule => ({
  attempts: 1,
  firstMs: 0,
  longestMs: 0,
  then,
});

/** The one table of retries. Waiting is cheap and losing a run is not, but what cannot mend itself is said at once. */
export const RETRIES: Readonly<Record<FailureClass, RetryRule>> = {
  // A store or network that is away: 30 minutes of waits. At most 15 s pass from its return to the next attempt.
  Transient: { attempts: 125, firstMs: 500, longestMs: 15_000, then: 'park' },
  // The heartbeat time-out was waited for already, so the next attempt follows soon: restarts must not be slow to recover
  // from, however many there were. An input that kills every worker ends here too, after about an hour.
  WorkerLost: { attempts: 250, firstMs: 500, longestMs: 2_000, then: 'park' },
  // A bug, or something unforeseen of the machine: worth a few goes.
  Unexpected: { attempts: 5, firstMs: 1_000, longestMs: 8_000, then: 'park' },
  NotFound: once('park'),
  Integrity: once('park'),
  Conflict: once('park'),
  Numerical: once('park'),
  Shape: once('park'),
  UnsupportedOp: once('park'),
  InvalidInput: once('fail'),
};

/** The wait after the `failures`-th failure of a class, from 1. */
export function retryDelayMs({ firstMs, longestMs }: RetryRule, failures: number): number {
  return Math.min(longestMs, firstMs * 2 ** (failures - 1));
}

/** What a failure of this class ends in once its attempts are used up; a type that is none of ours may be mended, so it parks. */
export function afterRetries(type: string | null | undefined): RetryRule['then'] {
  return type !== null && type !== undefined && Object.hasOwn(RETRIES, type)
    ? RETRIES[type as FailureClass].then
    : 'park';
}

/**
 * How long a worker may be silent before its work is given to another. Beats are sent every 2 s at the latest (every
 * second, throttled), so four in a row have to be lost: a thread that is blocked, or starved by its neighbours, for 8 s.
 * Nothing of ours blocks that long but `compare`. A false alarm costs an attempt and no result: what the silent one writes
 * is under a key of its own, and its completion is refused.
 */
export const HEARTBEAT_TIMEOUT_MS = 10_000;

/** `compare` resamples in one piece: 33 s for 100,000 tasks without families, on a busy machine of 2 cores. */
export const COMPARE_HEARTBEAT_TIMEOUT_MS = 120_000;

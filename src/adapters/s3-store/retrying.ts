import { setTimeout as sleep } from 'node:timers/promises';
import { classify, type FailureClass, retryAfterOf } from './s3-errors';

const FIRST_WAIT_MS = 50;
const FIRST_THROTTLED_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5_000;

/** Half of a wait that doubles, and a random part of the other half: clients that failed together do not come back together. */
export function waitMs(failures: number, { isThrottling }: FailureClass, error: unknown): number {
  const first = isThrottling === true ? FIRST_THROTTLED_WAIT_MS : FIRST_WAIT_MS;
  const wait = Math.min(LONGEST_WAIT_MS, first * 2 ** (failures - 1));
  const asked = Math.min(retryAfterOf(error) ?? 0, LONGEST_WAIT_MS); // a longer one is the caller's to wait
  return Math.max(asked, (wait / 2) * (1 + Math.random()));
}

/**
 * Runs `work` until it succeeds, fails in a way that a retry does not cure, or has failed `attempts` times; then throws its last error as
 * it is. @param onFailure is told of every failure, the last one too.
 */
export async function retrying<T>(
  attempts: number,
  work: () => Promise<T>,
  onFailure: (failure: FailureClass) => void = () => undefined,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      const failure = classify(error);
      if (failure !== undefined) onFailure(failure);
      if (failure?.isRetried !== true || failures >= attempts) throw error;
      await sleep(waitMs(failures, failure, error));
    }
  }
}

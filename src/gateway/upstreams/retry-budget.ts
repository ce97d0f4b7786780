/**
 * Bounds the requests that retries add: each call earns a share of one, each retry spends one. When everything fails, upstreams see at
 * most `1 + ratio` times the calls, and not `attempts` times as many.
 */
export interface RetryBudget {
  /** A call has come in. */
  earn(): void;
  /** Whether a retry may be made; it is then spent. */
  spend(): boolean;
  /** How many retries were not made since the start. */
  denied(): number;
}

/** @param burst how many retries may be saved up; a gateway starts with them. */
export function createRetryBudget({
  ratio,
  burst,
}: {
  readonly ratio: number;
  readonly burst: number;
}): RetryBudget {
  let saved = burst;
  let denied = 0;
  return {
    earn: () => void (saved = Math.min(burst, saved + ratio)),
    spend() {
      if (saved < 1) {
        denied++;
        return false;
      }
      saved -= 1;
      return true;
    },
    denied: () => denied,
  };
}

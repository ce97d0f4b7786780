/**
 * A token bucket: it holds at most a minute's worth, and fills evenly. What is taken may be more than it holds, since what a call costs is only
 * known after it: it is then in debt, and lets nothing through until that is paid.
 */
export interface TokenBucket {
  /** Milliseconds until it holds `amount`; 0 if it does now. */
  waitMs(amount: number, nowMs: number): number;
  take(amount: number, nowMs: number): void;
}

export function createTokenBucket(perMinute: number, nowMs: number): TokenBucket {
  const perMs = perMinute / 60_000;
  let held = perMinute;
  let filledAt = nowMs;
  const fill = (now: number): void => {
    held = Math.min(perMinute, held + Math.max(0, now - filledAt) * perMs);
    filledAt = Math.max(filledAt, now);
  };
  return {
    waitMs(amount, now) {
      fill(now);
      // A limit below one per minute never holds a whole one: then a full bucket has to do.
      const missing = Math.min(amount, perMinute) - held;
      return missing <= 0 ? 0 : Math.ceil(missing / perMs);
    },
    take(amount, now) {
      fill(now);
      held -= amount;
    },
  };
}

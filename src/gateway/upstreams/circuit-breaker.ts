/** When an upstream that keeps failing is left alone, and for how long. */
export interface BreakerSettings {
  /** So many failures in a row open it. */
  readonly failures: number;
  /** How long it stays open the first time, in milliseconds; each time that a probe fails, twice as long. */
  readonly openMs: number;
  readonly longestOpenMs: number;
}

/**
 * - `closed`: calls go to the upstream.
 * - `open`: none do, until a time in milliseconds since 1970.
 * - `halfOpen`: one call is out to see how it is; no other goes there.
 *
 * `trips` counts how often it opened since an answer was whole.
 */
export type Breaker =
  | { readonly kind: 'closed'; readonly failures: number; readonly trips: number }
  | { readonly kind: 'open'; readonly untilMs: number; readonly trips: number }
  | { readonly kind: 'halfOpen'; readonly trips: number };

/**
 * - `asked`: a call goes there now; only where `admits` said so.
 * - `began`: its answer has begun; `finished`: it was whole.
 * - `failed`: the upstream is to blame; `abandoned`: nobody is (the client went, or what came says nothing of the upstream's health).
 */
export type BreakerEvent = 'asked' | 'began' | 'finished' | 'failed' | 'abandoned';

export const CLOSED: Breaker = { kind: 'closed', failures: 0, trips: 0 };

/** Whether a call may go to the upstream now. */
export function admits(breaker: Breaker, nowMs: number): boolean {
  switch (breaker.kind) {
    case 'closed':
      return true;
    case 'open':
      return nowMs >= breaker.untilMs;
    case 'halfOpen':
      return false;
  }
}

/**
 * The next state. An answer that has begun closes a half-open breaker, since the rest of it may take minutes; but only a whole answer
 * forgets the failures before it, so an upstream that breaks every answer off stays open most of the time.
 */
export function nextBreaker(
  breaker: Breaker,
  event: BreakerEvent,
  nowMs: number,
  settings: BreakerSettings,
): Breaker {
  const { trips } = breaker;
  if (event === 'finished') {
    // What finishes while it is open was begun before, and says nothing of now.
    return breaker.kind === 'open' ? breaker : CLOSED;
  }
  switch (breaker.kind) {
    case 'closed': {
      if (event !== 'failed') return breaker;
      const failures = breaker.failures + 1;
      return failures < settings.failures
        ? { ...breaker, failures }
        : opened(nowMs, trips, settings);
    }
    case 'open':
      return event === 'asked' ? { kind: 'halfOpen', trips } : breaker;
    case 'halfOpen':
      if (event === 'failed') return opened(nowMs, trips, settings);
      if (event === 'abandoned') return { kind: 'open', untilMs: nowMs, trips };
      if (event === 'began') return { kind: 'closed', failures: settings.failures - 1, trips };
      return breaker;
  }
}

function opened(nowMs: number, trips: number, { openMs, longestOpenMs }: BreakerSettings): Breaker {
  const forMs = Math.min(longestOpenMs, openMs * 2 ** Math.min(trips, 30));
  return { kind: 'open', untilMs: nowMs + forMs, trips: trips + 1 };
}

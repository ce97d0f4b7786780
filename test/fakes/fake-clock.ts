import type { Clock } from '../../src/gateway/upstreams/upstreams';

export interface FakeClock extends Clock {
  /** How long was slept, in milliseconds, oldest first. */
  readonly slept: readonly number[];
  advance(ms: number): void;
}

/** Time that passes only when somebody sleeps or says so. `random` draws from a fixed sequence. */
export function createFakeClock(startMs: number): FakeClock {
  const slept: number[] = [];
  let nowMs = startMs;
  let state = 1;
  return {
    slept,
    now: () => nowMs,
    advance: (ms) => void (nowMs += ms),
    async sleep(ms, signal) {
      signal.throwIfAborted();
      slept.push(ms);
      nowMs += ms;
    },
    random() {
      state = (state * 48_271) % 2_147_483_647; // Park and Miller 1988
      return state / 2_147_483_647;
    },
  };
}

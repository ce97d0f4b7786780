import {
  admits,
  CLOSED,
  nextBreaker,
  type Breaker,
  type BreakerEvent,
} from '../../../../src/gateway/upstreams/circuit-breaker';

const SETTINGS = { failures: 3, openMs: 1_000, longestOpenMs: 4_000 };
const after = (events: readonly BreakerEvent[], breaker: Breaker = CLOSED, nowMs = 0): Breaker =>
  events.reduce((state, event) => nextBreaker(state, event, nowMs, SETTINGS), breaker);
const FAILURES = ['failed', 'failed', 'failed'] as const;

describe('a circuit breaker', () => {
  test('opens after so many failures in a row, and no sooner', () => {
    expect(admits(after(['failed', 'failed', 'finished', 'failed', 'failed']), 0)).toBe(true);
    const open = after(FAILURES);
    expect(open).toEqual({ kind: 'open', untilMs: 1_000, trips: 1 });
    expect(admits(open, 999)).toBe(false);
  });

  test('lets one call through when its time is over, and no second one', () => {
    const open = after(FAILURES);
    expect(admits(open, 1_000)).toBe(true);
    const halfOpen = after(['asked'], open, 1_000);
    expect(halfOpen.kind).toBe('halfOpen');
    expect(admits(halfOpen, 99_999)).toBe(false);
  });

  test('closes when that call’s answer begins, opens again at the next failure, and forgets all with a whole answer', () => {
    const begun = after(['asked', 'began'], after(FAILURES), 1_000);
    expect(admits(begun, 1_000)).toBe(true);
    expect(after(['failed'], begun, 1_000)).toEqual({ kind: 'open', untilMs: 3_000, trips: 2 });
    expect(after(['finished'], begun)).toEqual(CLOSED);
  });

  test('stays open twice as long each time, up to a longest time', () => {
    let breaker = after(FAILURES);
    const lengths: number[] = [];
    for (let i = 0; i < 4; i++) {
      const nowMs = breaker.kind === 'open' ? breaker.untilMs : NaN;
      breaker = after(['asked', 'failed'], breaker, nowMs);
      if (breaker.kind === 'open') lengths.push(breaker.untilMs - nowMs);
    }
    expect(lengths).toEqual([2_000, 4_000, 4_000, 4_000]);
  });

  test('tries again at once where the one call was given up by its client', () => {
    const open = after(['asked', 'abandoned'], after(FAILURES), 1_000);
    expect(admits(open, 1_000)).toBe(true);
  });

  test('stays open whatever the answers do that began before', () => {
    const open = after(FAILURES);
    expect(after(['finished', 'failed', 'began', 'abandoned'], open, 10)).toEqual(open);
  });
});

import { wilson } from '../../../src/stats/wilson';

// Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3 (four decimals).
test.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])('%p of %p gives the published interval', (successes, n, low, high) => {
  const interval = wilson({ successes, n });
  expect(interval.value).toBe(successes / n);
  expect(interval.low).toBeCloseTo(low, 4);
  expect(interval.high).toBeCloseTo(high, 4);
});

test('a one-sided end is that of the two-sided interval with twice the error', () => {
  const oneSided = wilson({ successes: 30, n: 70, confidence: 0.95, sides: 1 });
  const twoSided = wilson({ successes: 30, n: 70, confidence: 0.9 });
  expect(oneSided.low).toBeCloseTo(twoSided.low, 12);
  expect(oneSided.high).toBeCloseTo(twoSided.high, 12);
});

test('failures are successes seen from the other side', () => {
  const some = wilson({ successes: 7, n: 40 });
  const others = wilson({ successes: 33, n: 40 });
  expect(some.low).toBeCloseTo(1 - others.high, 12);
  expect(wilson({ successes: 40, n: 40 }).high).toBe(1);
});

test.each([
  [-1, 10],
  [11, 10],
  [Number.NaN, 10],
  [0, 0],
  [1, 2.5],
])('%p of %p is refused', (successes, n) => {
  expect(() => wilson({ successes, n })).toThrow(/Wilson interval: expected/);
});

import { normalQuantile } from '../../../src/stats/distributions';
import { tangoLowerBound } from '../../../src/stats/tango';

// The lower end of a two-sided 95 % interval is the one-sided bound at 97.5 %; the upper end is that of swapped counts.
test.each([
  // Airway reactivity before and after transplantation: Fagerland et al. 2014, Tango's interval.
  [1, 7, 21, 0.975, -0.517, -0.026, 3],
  // PropCIs::scoreci.mp(28, 25, 618, 0.9) in R.
  [28, 25, 618, 0.95, -0.0148, 0.0247, 4],
])(
  '%p gains and %p losses of %p at %p give the published interval',
  (gains, losses, n, confidence, low, high, digits) => {
    expect(tangoLowerBound({ gains, losses, n, confidence })).toBeCloseTo(low, digits);
    expect(-tangoLowerBound({ gains: losses, losses: gains, n, confidence })).toBeCloseTo(
      high,
      digits,
    );
  },
);

test('without any change it is the end of Wilson’s interval for no failure: -z²/(n + z²)', () => {
  const z2 = normalQuantile(0.95) ** 2;
  for (const n of [10, 50, 1000]) {
    const bound = tangoLowerBound({ gains: 0, losses: 0, n, confidence: 0.95 });
    expect(bound).toBeCloseTo(-z2 / (n + z2), 12);
  }
});

test('it is above 0 exactly where McNemar’s statistic is above z', () => {
  for (const [gains, losses] of [
    [3, 0],
    [2, 0],
    [12, 4],
    [10, 4],
    [40, 25],
    [38, 25],
  ] as const) {
    const mcnemar = (gains - losses) / Math.sqrt(gains + losses);
    const bound = tangoLowerBound({ gains, losses, n: 100, confidence: 0.95 });
    expect(bound > 0).toBe(mcnemar > normalQuantile(0.95));
  }
});

test('more losses never raise it, more gains never lower it, and all losses give -1', () => {
  const bound = (gains: number, losses: number): number =>
    tangoLowerBound({ gains, losses, n: 60, confidence: 0.95 });
  for (let i = 0; i < 20; i++) {
    expect(bound(10, i + 1)).toBeLessThan(bound(10, i));
    expect(bound(i + 1, 10)).toBeGreaterThan(bound(i, 10));
  }
  expect(bound(0, 60)).toBeCloseTo(-1, 12);
});

test('more changes than tasks are refused', () => {
  expect(() => tangoLowerBound({ gains: 6, losses: 5, n: 10, confidence: 0.95 })).toThrow(
    /paired proportions: expected/,
  );
});

import { quantile } from '../../../src/stats/quantile';

test('quantiles are linear between order statistics, as in R and NumPy', () => {
  const values = Float64Array.of(1, 2, 4, 8);
  expect([0, 0.25, 0.5, 0.9, 1].map((q) => quantile(values, q))).toEqual([
    1,
    1.75,
    3,
    expect.closeTo(6.8, 12),
    8,
  ]);
  expect(quantile(Float64Array.of(5), 0.3)).toBe(5);
});

test('no values and no probabilities are refused', () => {
  expect(() => quantile(new Float64Array(0), 0.5)).toThrow(/at least one/);
  expect(() => quantile(Float64Array.of(1), 1.1)).toThrow(/\[0, 1\]/);
});

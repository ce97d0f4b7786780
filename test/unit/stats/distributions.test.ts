import {
  normalCdf,
  normalQuantile,
  studentTCdf,
  studentTQuantile,
} from '../../../src/stats/distributions';

test.each([
  [0.5, 0],
  [0.95, 1.6448536269514722],
  [0.975, 1.959963984540054],
  [0.9999, 3.719016485455709],
  [0.05, -1.6448536269514722],
])('the normal quantile of %p is the tabled %p', (p, z) => {
  expect(normalQuantile(p)).toBeCloseTo(z, 10);
  expect(normalCdf(z)).toBeCloseTo(p, 13);
});

// Tables of Student's t, as R's qt gives them.
test.each([
  [0.975, 1, 12.706204736432095],
  [0.975, 2, 4.302652729696142],
  [0.95, 9, 1.8331129327],
  [0.975, 30, 2.0422724563012373],
  [0.95, 149, 1.6551445338],
])('the t quantile of %p with %p degrees of freedom is the tabled %p', (p, df, t) => {
  expect(studentTQuantile(p, df)).toBeCloseTo(t, 7);
  expect(studentTCdf(-t, df)).toBeCloseTo(1 - p, 9);
});

test('with many degrees of freedom t is normal', () => {
  expect(studentTQuantile(0.95, 100_000)).toBeCloseTo(normalQuantile(0.95), 4);
});

test('far tails are 0 and 1, and NaN stays NaN', () => {
  expect([normalCdf(-40), normalCdf(40)]).toEqual([0, 1]);
  expect(normalCdf(Number.NaN)).toBeNaN();
});

test('what has no quantile is refused', () => {
  expect(() => normalQuantile(1)).toThrow(/between 0 and 1/);
  expect(() => studentTQuantile(0.9, 2.5)).toThrow(/degrees of freedom/);
});

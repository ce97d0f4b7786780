import { estimateMean, orderFreeSum } from '../../../src/stats/mean-estimate';
import { wilson } from '../../../src/stats/wilson';

test('0/1 scores get the Wilson interval', () => {
  expect(estimateMean([1, 0, 1, 1])).toEqual({ ...wilson({ successes: 3, n: 4 }), n: 4 });
});

test('other scores get the Student interval: Gosset’s sleep data', () => {
  // Student 1908, the second drug's extra hours; R's t.test(sleep$extra[11:20]).
  const extra = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
  const estimate = estimateMean(extra);
  expect(estimate?.value).toBeCloseTo(2.33, 12);
  expect(estimate?.low).toBeCloseTo(0.8976775, 6);
  expect(estimate?.high).toBeCloseTo(3.7623225, 6);
});

test('no values have no mean, and a NaN is an error instead of a NaN', () => {
  expect(estimateMean([])).toBeNull();
  expect(() => estimateMean([1, Number.NaN])).toThrow(/finite/);
});

test('a sum does not depend on the order of its terms', () => {
  const values = Array.from({ length: 500 }, (_, i) => Math.sin(i) * 10 ** (i % 9));
  expect(orderFreeSum([...values].reverse())).toBe(orderFreeSum(values));
  expect([...values].reverse().reduce((a, b) => a + b, 0)).not.toBe(values.reduce((a, b) => a + b));
});

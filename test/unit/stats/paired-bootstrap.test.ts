import { shuffle, stream } from '../../../src/rl/counter-rng';
import { studentTCdf } from '../../../src/stats/distributions';
import {
  expandedTail,
  pairedClusterBootstrap,
  type Pair,
} from '../../../src/stats/paired-bootstrap';

const random = (task = ''): ReturnType<typeof stream> =>
  stream({ seed: 1, purpose: 'test.bootstrap', task });

/** All G^G resamples, each equally likely: the distribution that the bootstrap samples from. */
function enumerate(clusters: readonly (readonly number[])[]): number[] {
  const size = clusters.length;
  return Array.from({ length: size ** size }, (_, code) => {
    let rest = code;
    const drawn = clusters.map(() => {
      const one = clusters[rest % size] ?? [];
      rest = Math.floor(rest / size);
      return one;
    });
    const values = drawn.flat();
    return values.reduce((a, b) => a + b, 0) / values.length;
  }).sort((a, b) => a - b);
}

const tiny = [[1, 0.5], [-1], [0.25, 0, 0, 1], [-0.5, 0.75]];
const toPairs = (clusters: readonly (readonly number[])[], name = (i: number) => `c${i}`): Pair[] =>
  clusters.flatMap((values, i) => values.map((difference) => ({ cluster: name(i), difference })));

test.each([0.6, 0.8, 0.9])(
  'on 4 tiny clusters the bounds at %p are those of all 256 resamples',
  (confidence) => {
    const all = enumerate(tiny);
    const at = (tail: number): number | undefined => all[Math.ceil(tail * all.length) - 1];
    const result = pairedClusterBootstrap({
      pairs: toPairs(tiny),
      confidence,
      resamples: 100_000,
      random: random(),
    });
    const twoSided = expandedTail((1 - confidence) / 2, 4);
    expect(result.difference).toBeCloseTo(2 / 9, 12);
    expect(result.lower).toBeCloseTo(at(expandedTail(1 - confidence, 4)) ?? NaN, 12);
    expect(result.interval[0]).toBeCloseTo(at(twoSided) ?? NaN, 12);
    expect(result.interval[1]).toBeCloseTo(at(1 - twoSided) ?? NaN, 12);
    expect([result.tasks, result.clusters]).toEqual([9, 4]);
  },
);

test('neither the order of the rows nor the names of the clusters change a single bit', () => {
  const clusters = Array.from({ length: 30 }, (_, i) =>
    Array.from({ length: 1 + (i % 4) }, (_unused, j) => Math.sin(7 * i + j) / 3),
  );
  const run = (pairs: Pair[]): unknown =>
    pairedClusterBootstrap({ pairs, confidence: 0.95, resamples: 500, random: random() });
  const expected = run(toPairs(clusters));
  expect(run(shuffle(toPairs(clusters), random('order')))).toEqual(expected);
  expect(run(toPairs(clusters, (i) => `family ${(i * 17) % 30}`))).toEqual(expected);
});

test('copies of a task within its cluster add no confidence, copies as new clusters would', () => {
  const values = Array.from({ length: 40 }, (_, i) => Math.sin(i));
  const lower = (pairs: Pair[]): number =>
    pairedClusterBootstrap({ pairs, confidence: 0.95, resamples: 4000, random: random() }).lower;
  const once = lower(values.map((difference, i) => ({ cluster: `c${i}`, difference })));
  const copies = [0, 1, 2].flatMap((copy) =>
    values.map((difference, i) => ({ copy, cluster: `c${i}`, difference })),
  );
  expect(lower(copies)).toBeCloseTo(once, 12);
  const apart = copies.map(({ copy, cluster, difference }) => ({
    cluster: `${cluster}.${copy}`,
    difference,
  }));
  expect(lower(apart)).toBeGreaterThan(once + 0.05);
});

test('the tail is that of Student’s t: at 10 clusters plain percentiles would err 7.7 % of the time', () => {
  expect(1 - studentTCdf(1.6448536269514722 * Math.sqrt(9 / 10), 9)).toBeCloseTo(0.0765, 3);
  expect(expandedTail(0.05, 10)).toBeCloseTo(0.0267, 4);
  expect(expandedTail(0.05, 5000)).toBeCloseTo(0.05, 4);
});

test('what cannot be resampled is refused', () => {
  const run = (pairs: Pair[], resamples = 500): unknown =>
    pairedClusterBootstrap({ pairs, confidence: 0.95, resamples, random: random() });
  expect(() => run([{ cluster: 'one', difference: 1 }])).toThrow(/at least 2 clusters/);
  expect(() => run(toPairs([[1], [Number.NaN]]))).toThrow(/finite/);
  expect(() => run(toPairs(tiny), 20)).toThrow(/more resamples/);
});

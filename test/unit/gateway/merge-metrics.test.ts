import { mergeMetrics, totalsOf } from '../../../src/gateway/metrics/merge-metrics';
import type { Metric } from '../../../src/gateway/metrics/prometheus-text';

const calls = (samples: Metric['samples']): Metric => ({
  ...{ name: 'calls', type: 'counter', help: 'Calls.', samples },
});
const gauge = (value: number, across?: 'max'): Metric => ({
  ...{ name: 'age', type: 'gauge', help: 'Age.', samples: [{ value }] },
  ...(across === undefined ? {} : { across }),
});

test('samples of the same labels are added up, others stay', () => {
  const [one, two] = [{ status: '200' }, { status: '500' }];
  expect(
    mergeMetrics([
      [calls([{ labels: one, value: 3 }])],
      [
        calls([
          { labels: one, value: 4 },
          { labels: two, value: 1 },
        ]),
      ],
    ]),
  ).toEqual([
    calls([
      { labels: one, value: 7 },
      { labels: two, value: 1 },
    ]),
  ]);
});

test('the parts of a histogram are added up each', () => {
  const histogram = (first: number, all: number): Metric => ({
    ...{ name: 'sizes', type: 'histogram', help: 'Sizes.' },
    samples: [
      { suffix: '_bucket', labels: { le: '1' }, value: first },
      { suffix: '_bucket', labels: { le: '+Inf' }, value: all },
      { suffix: '_count', value: all },
    ],
  });
  expect(mergeMetrics([[histogram(1, 2)], [histogram(3, 5)]])).toEqual([histogram(4, 7)]);
});

test('gauges are added up, or the largest is taken where that is what they say', () => {
  expect(mergeMetrics([[gauge(2)], [gauge(3)]])).toEqual([gauge(5)]);
  expect(mergeMetrics([[gauge(2, 'max')], [gauge(3, 'max')]])).toEqual([gauge(3, 'max')]);
});

test('of a process that has ended its counters are left', () => {
  expect(totalsOf([calls([{ value: 1 }]), gauge(2)])).toEqual([calls([{ value: 1 }])]);
});

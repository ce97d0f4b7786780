import type { Metric, Sample } from './prometheus-text';

/**
 * The metrics of several processes as those of one: samples of the same name and labels are added up, and of gauges that say so the largest
 * is taken. In the order of their first occurrence.
 */
export function mergeMetrics(lists: readonly (readonly Metric[])[]): Metric[] {
  const merged = new Map<
    string,
    { readonly metric: Metric; readonly samples: Map<string, Sample> }
  >();
  for (const metric of lists.flat()) {
    let known = merged.get(metric.name);
    if (known === undefined) merged.set(metric.name, (known = { metric, samples: new Map() }));
    for (const sample of metric.samples) {
      const key = JSON.stringify([sample.suffix, sample.labels]);
      const before = known.samples.get(key);
      known.samples.set(key, before === undefined ? sample : combine(metric, before, sample));
    }
  }
  return Array.from(merged.values(), ({ metric, samples }) => ({
    ...metric,
    samples: [...samples.values()],
  }));
}

/** What is left of a process that has ended: what it did, and not how it was. */
export function totalsOf(metrics: readonly Metric[]): Metric[] {
  return metrics.filter(({ type }) => type !== 'gauge');
}

function combine({ across = 'sum' }: Metric, a: Sample, b: Sample): Sample {
  return { ...a, value: across === 'sum' ? a.value + b.value : Math.max(a.value, b.value) };
}

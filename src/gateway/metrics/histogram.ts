import type { Sample } from './prometheus-text';

/** Counts of values up to each bound. Two of the same bounds are added up sample by sample. */
export interface Histogram {
  observe(value: number): void;
  samples(labels: Readonly<Record<string, string>>): readonly Sample[];
}

/** @param bounds ascending, in the unit of the values. */
export function createHistogram(bounds: readonly number[]): Histogram {
  const counts = new Float64Array(bounds.length + 1);
  let sum = 0;
  return {
    observe(value) {
      let bucket = 0;
      while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
      counts[bucket] = (counts[bucket] as number) + 1;
      sum += value;
    },
    samples(labels) {
      let count = 0; // Prometheus's buckets are cumulative
      const buckets = Array.from(counts, (values, i): Sample => {
        count += values;
        const le = String(bounds[i] ?? '+Inf');
        return { suffix: '_bucket', labels: { ...labels, le }, value: count };
      });
      return [
        ...buckets,
        { suffix: '_sum', labels, value: sum },
        { suffix: '_count', labels, value: count },
      ];
    },
  };
}

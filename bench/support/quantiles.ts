import { quantile } from '../../src/stats/quantile';

/** A quantile of unsorted values. */
export function quantileOf(values: readonly number[], q: number): number {
  return quantile(Float64Array.from(values).sort(), q);
}

export function median(values: readonly number[]): number {
  return quantileOf(values, 0.5);
}

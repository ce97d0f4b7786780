import { NumericalError } from '../errors';
import type { Estimate } from '../schemas/estimate';
import { studentTQuantile } from './distributions';
import { wilson } from './wilson';

/** Sums from the smallest up, so that the order in which values arrive never shows in the last digit. */
export function orderFreeSum(values: readonly number[]): number {
  return Float64Array.from(values)
    .sort()
    .reduce((sum, value) => sum + value, 0);
}

/**
 * The mean of independent values with a two-sided interval: Wilson's where all lie in [0, 1], else Student's t,
 * mean ± t·s/√n (one value, and values outside [0, 1]: the interval is that value, which says nothing). For the eye;
 * decisions rest on the paired bootstrap, which knows clusters.
 *
 * @returns null if there are no values.
 * @throws {NumericalError} if a value is not finite.
 */
export function estimateMean(values: readonly number[], confidence = 0.95): Estimate | null {
  const n = values.length;
  if (n === 0) return null;
  if (!values.every(Number.isFinite)) {
    throw new NumericalError('mean: expected finite values, got NaN or an infinity');
  }
  const sum = orderFreeSum(values);
  if (values.every((value) => value >= 0 && value <= 1)) {
    return { ...wilson({ successes: Math.min(sum, n), n, confidence }), n };
  }
  const value = sum / n;
  if (n === 1) return { value, low: value, high: value, n };
  const variance = orderFreeSum(values.map((one) => (one - value) ** 2)) / (n - 1);
  const half = studentTQuantile(1 - (1 - confidence) / 2, n - 1) * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half, n };
}

import { InvalidInputError, ShapeError } from '../errors';

/**
 * The q-quantile of sorted values, linear between order statistics: x[h] at h = (n − 1)·q.
 * Type 7 of Hyndman and Fan 1996, doi:10.2307/2684934; the default of R and NumPy. Whether the values are sorted is not checked.
 *
 * @param sorted float64 [n], ascending, n >= 1.
 * @param q in [0, 1].
 */
export function quantile(sorted: Float64Array, q: number): number {
  if (!(q >= 0 && q <= 1)) throw new InvalidInputError(`quantile: expected q in [0, 1], got ${q}`);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)];
  const high = sorted[Math.ceil(position)];
  if (low === undefined || high === undefined) {
    throw new ShapeError('quantile: expected at least one value, got none');
  }
  return low + (high - low) * (position - Math.floor(position));
}

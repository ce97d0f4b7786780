import { InvalidInputError } from '../errors';
import { normalQuantile } from './distributions';

export interface WilsonOptions {
  /** In [0, n]. Fractions are allowed: the sum of values that lie in [0, 1]. */
  readonly successes: number;
  readonly n: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** 2 (default): both ends hold together at `confidence`. 1: each end by itself does. */
  readonly sides?: 1 | 2;
}

export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Wilson's score interval of a proportion p̂ = successes / n.
 *
 * (p̂ + z²/2n ± z·√(p̂(1−p̂)/n + z²/4n²)) / (1 + z²/n).   Wilson 1927, doi:10.1080/01621459.1927.10502953.
 *
 * For shares in [0, 1] instead of 0/1 values it is conservative, since their variance is at most p(1 − p). Left out:
 * continuity correction, and clusters (with tasks that rise and fall together the interval is too narrow).
 *
 * @throws {InvalidInputError} unless n >= 1, successes in [0, n] and confidence in (0, 1).
 */
export function wilson({ successes, n, confidence = 0.95, sides = 2 }: WilsonOptions): Interval {
  if (!(Number.isInteger(n) && n >= 1 && successes >= 0 && successes <= n)) {
    throw new InvalidInputError(
      `Wilson interval: expected 0 <= successes <= n and n >= 1, got ${successes} of ${n}`,
    );
  }
  const z = normalQuantile(1 - (1 - confidence) / sides);
  const value = successes / n;
  const scale = 1 + (z * z) / n;
  const center = value + (z * z) / (2 * n);
  const half = z * Math.sqrt((value * (1 - value)) / n + (z * z) / (4 * n * n));
  // At 0 and n successes one end is exactly 0 or 1; rounding must not push it past.
  return {
    value,
    low: successes === 0 ? 0 : Math.max(0, (center - half) / scale),
    high: successes === n ? 1 : Math.min(1, (center + half) / scale),
  };
}

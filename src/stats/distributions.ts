import { InvalidInputError } from '../errors';

/**
 * The two distributions that intervals need. Absolute error of the cumulative functions below 1e-14, which is what a
 * level of 0.9999 or a power needs; p-values far in a tail are not meant to be read off them.
 */

/** P(Z <= x) for a standard normal Z: 1/2 + φ(x)·(x + x³/3 + x⁵/15 + …), Marsaglia 2004, doi:10.18637/jss.v011.i04. */
export function normalCdf(x: number): number {
  if (Number.isNaN(x)) return x;
  if (x < -8) return 0;
  if (x > 8) return 1;
  const square = x * x;
  let sum = x;
  let term = x;
  for (let i = 3; sum + term !== sum; i += 2) {
    term *= square / i;
    sum += term;
  }
  return 0.5 + sum * Math.exp(-0.5 * square - 0.9189385332046727); // log √(2π)
}

/** P(T <= t) for Student's t with a whole number of degrees of freedom: the finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun. */
export function studentTCdf(t: number, degreesOfFreedom: number): number {
  if (!Number.isInteger(degreesOfFreedom) || degreesOfFreedom < 1) {
    throw new InvalidInputError(
      `Student t: expected a whole number of degrees of freedom >= 1, got ${degreesOfFreedom}`,
    );
  }
  const theta = Math.atan(t / Math.sqrt(degreesOfFreedom));
  const cos = Math.cos(theta);
  const odd = degreesOfFreedom % 2 === 1;
  let term = odd ? cos : 1;
  let sum = degreesOfFreedom === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k < degreesOfFreedom; k += 2) {
    term *= ((k - 1) / k) * cos * cos;
    sum += term;
  }
  const inside = odd ? (2 / Math.PI) * (theta + Math.sin(theta) * sum) : Math.sin(theta) * sum;
  return 0.5 + inside / 2;
}

/** Bisection to the last bit: quantiles are taken a few times per report, so simple beats fast. */
function invert(cdf: (x: number) => number, p: number): number {
  if (!(p > 0 && p < 1)) {
    throw new InvalidInputError(`quantile: expected a probability between 0 and 1, got ${p}`);
  }
  if (p < 0.5) return -invert(cdf, 1 - p); // both distributions are symmetric
  let low = 0;
  let high = 1;
  while (cdf(high) < p && high < 1e9) high *= 2;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (cdf(middle) < p) low = middle;
    else high = middle;
  }
  return high;
}

/** z with P(Z <= z) = p; p in [1e-10, 1 - 1e-10]. */
export function normalQuantile(p: number): number {
  return invert(normalCdf, p);
}

/** t with P(T <= t) = p; p in [1e-10, 1 - 1e-10]. */
export function studentTQuantile(p: number, degreesOfFreedom: number): number {
  return invert((t) => studentTCdf(t, degreesOfFreedom), p);
}

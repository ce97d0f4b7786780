import { InvalidInputError } from '../errors';
import { logFactorials } from './log-factorials';

type HitsOf = readonly [hits: number, n: number];

/**
 * Fisher's exact test that two proportions are equal: given all hits, the first group's count is hypergeometric; p is the
 * total probability of the counts that are no likelier than the one seen (two-sided, as R's fisher.test).
 *
 * @throws {InvalidInputError} unless both are whole numbers with 0 <= hits <= n.
 */
export function fisherExact([a, nA]: HitsOf, [b, nB]: HitsOf): number {
  for (const [hits, n] of [
    [a, nA],
    [b, nB],
  ] as const) {
    if (!(Number.isInteger(hits) && Number.isInteger(n) && hits >= 0 && hits <= n)) {
      throw new InvalidInputError(`Fisher test: expected 0 <= hits <= n, got ${hits} of ${n}`);
    }
  }
  if (a + b === 0) return 1; // the usual case for drops
  const logs = logFactorials(nA + nB);
  const at = (i: number): number => logs[i] as number; // all arguments are in 0 … nA + nB
  const choose = (n: number, k: number): number => at(n) - at(k) - at(n - k);
  const hits = a + b;
  const probability = (x: number): number =>
    Math.exp(choose(nA, x) + choose(nB, hits - x) - choose(nA + nB, hits));
  const limit = probability(a) * (1 + 1e-7); // equal ones may differ in the last digits
  let p = 0;
  for (let x = Math.max(0, hits - nB); x <= Math.min(nA, hits); x++) {
    if (probability(x) <= limit) p += probability(x);
  }
  return Math.min(1, p);
}

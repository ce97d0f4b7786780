import { InvalidInputError } from '../errors';
import { logFactorials } from './log-factorials';

export interface SignTest {
  /** P(at least `better` of the changed tasks | a change is as likely for the better as for the worse). */
  readonly oneSided: number;
  readonly twoSided: number;
}

/**
 * Exact sign test over the tasks that changed; on 0/1 scores it is McNemar's exact test.
 * P(X >= better), X ~ Binomial(better + worse, 1/2); two-sided: twice the smaller tail, at most 1. Ties are left out, and
 * so are sizes and clusters: it is shown for information and decides nothing.
 */
export function signTest(better: number, worse: number): SignTest {
  for (const count of [better, worse]) {
    if (!Number.isInteger(count) || count < 0) {
      throw new InvalidInputError(`sign test: expected counts >= 0, got ${better} and ${worse}`);
    }
  }
  const n = better + worse;
  const logs = logFactorials(n);
  const at = (i: number): number => logs[i] as number; // 0 <= i <= n
  const upperTail = (from: number): number => {
    let sum = 0;
    for (let k = n; k >= from; k--) sum += Math.exp(at(n) - at(k) - at(n - k) - n * Math.LN2);
    return Math.min(1, sum);
  };
  const oneSided = upperTail(better);
  return { oneSided, twoSided: Math.min(1, 2 * Math.min(oneSided, upperTail(worse))) };
}

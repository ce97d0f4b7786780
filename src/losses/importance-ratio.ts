import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** |log r| is cut here, so that a sample far off the policy gives a large ratio and not an infinite one. */
const MAX_LOG_RATIO = 20;

/** How much more probable a sample is than it was when it was drawn. */
export interface ImportanceRatio {
  /** log r = log π − log μ, within ±20; [n]. */
  readonly logRatio: Node;
  /** r; [n]. */
  readonly ratio: Node;
}

/**
 * r = π / μ per sample.
 *
 * @param logProbs log π, [n]. @param behaviorLogProbs log μ, [n]: under the policy that the sample was drawn from.
 */
export function importanceRatio(
  b: GraphBuilder,
  logProbs: Node,
  behaviorLogProbs: Node,
): ImportanceRatio {
  const logRatio = b.clip(b.sub(logProbs, behaviorLogProbs), -MAX_LOG_RATIO, MAX_LOG_RATIO);
  return { logRatio, ratio: b.exp(logRatio) };
}

/**
 * One ratio per sequence, s = exp(mean_t log r_t), at each of its tokens. GSPO: Zheng et al. 2025, arXiv:2507.18071, eq. 7.
 *
 * @param logRatio log r, [n], one per token. @param sequences which sequence each token is of, [n], any whole numbers; padding has one of its own.
 */
export function sequenceRatio(b: GraphBuilder, logRatio: Node, sequences: Node): ImportanceRatio {
  const [n] = logRatio.shape as [number];
  const { dtype } = logRatio;
  const isSame = b.cast(b.equal(b.reshape(sequences, [n, 1]), b.reshape(sequences, [1, n])), dtype);
  const counts = b.reduceSum(isSame, [1]); // [n, 1], at least 1: a token is of its own sequence
  const sums = b.matMul(isSame, b.reshape(logRatio, [n, 1]));
  const mean = b.reshape(b.div(sums, counts), [n]);
  return { logRatio: mean, ratio: b.exp(mean) };
}

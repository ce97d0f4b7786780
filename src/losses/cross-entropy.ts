import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Cross-entropy against a target distribution, per row: −Σ_a q(a) · log π(a).
 *
 * Rows are not averaged here (see weightedMean), so that terms with different denominators can be added.
 *
 * @param logProbs log π, [B, A], from maskedLogSoftmax.
 * @param targets q, [B, A], >= 0 and 0 on masked arms: one-hot, smoothed, or all 0 for a row without a target.
 * @returns [B], in nats.
 */
export function crossEntropy(b: GraphBuilder, logProbs: Node, targets: Node): Node {
  return b.neg(b.reduceSum(b.mul(targets, logProbs), [1], { keepdims: false }));
}

/**
 * Targets with label smoothing over the available arms: (1 − ε) · q + ε · Σq / n, n = the number of available arms.
 * Szegedy et al. 2016, arXiv:1512.00567, section 7.
 *
 * @param targets q, [B, A]. @param available bool [B, A]. @param epsilon a number, or a node of rank 0.
 */
export function smoothLabels(
  b: GraphBuilder,
  targets: Node,
  available: Node,
  epsilon: number | Node,
): Node {
  const isAvailable = b.cast(available, targets.dtype);
  const count = b.max(b.reduceSum(isAvailable, [1]), 1);
  const even = b.mul(isAvailable, b.div(b.reduceSum(targets, [1]), count));
  return b.add(targets, b.scale(b.sub(even, targets), epsilon));
}

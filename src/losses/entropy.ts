import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Entropy of the policy, per row: H = −Σ_a π(a) · log π(a), in nats. Masked arms add nothing. To reward it, subtract its
 * mean from the loss.
 *
 * @param logProbs log π, [B, A], from maskedLogSoftmax.
 * @returns [B].
 */
export function entropy(b: GraphBuilder, logProbs: Node): Node {
  return b.neg(b.reduceSum(b.mul(b.exp(logProbs), logProbs), [1], { keepdims: false }));
}

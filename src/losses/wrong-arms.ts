import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** The share of p that counts: keeps 1 − p off 0, where −log has no bound and one row would set the whole step. */
export const MAX_WRONG_PROBABILITY = 0.999;

/**
 * Bandit feedback on arms that are known to be wrong, per row: −log(1 − 0.999·p), p = Σ_a w(a) · π(a).
 *
 * It is the negative log-likelihood of "none of them", which is all that a reward of 0 teaches while the right arm is unknown
 * ("unlikelihood", Welleck et al. 2019, arXiv:1908.04319). Computed from log-probabilities, so π cannot overflow; the factor
 * bounds loss and gradient as a clamp of p at 0.999 would, but keeps a gradient where the policy is surest and wrong. With
 * crossEntropy on known-right arms it is the replay loss: −log π(right) − log(1 − Σ π(wrong)).
 *
 * @param logProbs log π, [B, A]. @param wrong w, [B, A], in [0, 1]; all 0 where nothing is known to be wrong.
 * @returns [B], in nats.
 */
export function wrongArms(b: GraphBuilder, logProbs: Node, wrong: Node): Node {
  const p = b.reduceSum(b.mul(wrong, b.exp(logProbs)), [1], { keepdims: false });
  return b.neg(b.log(b.addScalar(b.scale(p, -MAX_WRONG_PROBABILITY), 1)));
}

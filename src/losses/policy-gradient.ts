import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import { clippedSurrogate } from './clipped-surrogate';
import { importanceRatio } from './importance-ratio';

export interface PolicyGradient {
  /** Per row, −min(r·Â, clip(r, 1−ε, 1+ε)·Â); [B]. */
  readonly loss: Node;
  /** k3 estimate of KL(behavior ‖ policy) per row: (r − 1) − log r; [B]. http://joschu.net/blog/kl-approx.html */
  readonly approxKl: Node;
  /** 1 where |r − 1| > ε, else 0; [B]. */
  readonly clipFraction: Node;
}

/**
 * Clipped policy gradient, per row: −min(r·Â, clip(r, 1−ε, 1+ε)·Â), r = π(a|x) / μ(a|x).
 * Schulman et al. 2017 (PPO), arXiv:1707.06347, eq. 7. While π = μ its gradient is REINFORCE's, −Â·∇log π (Williams 1992).
 *
 * The advantage is an input: no gradient flows into it. Rows are not averaged (see weightedMean).
 *
 * @param logProbs log π, [B, A], from maskedLogSoftmax.
 * @param arms int64 [B, 1]: the arm that was taken.
 * @param logPropensities log μ, [B]: with which probability it was taken, exploration and mask included.
 * @param advantages Â, [B], in units of the reward. @param clip ε > 0.
 */
export function policyGradient(
  b: GraphBuilder,
  logProbs: Node,
  {
    arms,
    logPropensities,
    advantages,
    clip,
  }: {
    readonly arms: Node;
    readonly logPropensities: Node;
    readonly advantages: Node;
    readonly clip: number;
  },
): PolicyGradient {
  const batch = logProbs.shape[0] as number;
  const logProb = b.reshape(b.gatherElements(logProbs, arms, 1), [batch]);
  const drawn = importanceRatio(b, logProb, logPropensities);
  const { logRatio, ratio } = drawn;
  const range = { low: clip, high: clip, dual: null };
  const excess = b.addScalar(ratio, -1);
  return {
    loss: clippedSurrogate(b, drawn, advantages, range).loss,
    approxKl: b.sub(excess, logRatio),
    clipFraction: b.cast(b.greater(b.abs(excess), clip), logProbs.dtype),
  };
}

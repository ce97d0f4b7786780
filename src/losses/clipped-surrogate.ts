import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import type { ImportanceRatio } from './importance-ratio';

export interface ClipRange {
  /** ε of the ratio's lower bound, 1 − ε; in (0, 1). */
  readonly low: number;
  /** ε of the upper one, 1 + ε. Larger than `low`, it leaves room for what was improbable: "clip-higher", DAPO, arXiv:2503.14476, eq. 10. */
  readonly high: number;
  /** c > 1: a sample with Â < 0 counts at most c·|Â|, however probable it became. Ye et al. 2020, arXiv:1912.09729, eq. 5. null: no bound. */
  readonly dual: number | null;
}

/** What a surrogate says of each sample. All [n]. */
export interface Surrogate {
  readonly loss: Node;
  /** 1 where the ratio was outside the range on the side that its advantage pulls to, so that the sample has no gradient; else 0. */
  readonly isClipped: Node;
}

/**
 * −min(r·Â, clip(r, 1−ε_low, 1+ε_high)·Â) per sample, and for Â < 0 no more than −c·Â.
 * Schulman et al. 2017 (PPO), arXiv:1707.06347, eq. 7.
 *
 * @param advantages Â, [n]; no gradient flows into them.
 */
export function clippedSurrogate(
  b: GraphBuilder,
  { ratio }: ImportanceRatio,
  advantages: Node,
  { low, high, dual }: ClipRange,
): Surrogate {
  const advantage = b.stopGradient(advantages);
  const clipped = b.clip(ratio, 1 - low, 1 + high);
  // Inside the range both sides are equal, and so are their derivatives: the tie's halves add up to the whole.
  const pessimistic = b.min(b.mul(ratio, advantage), b.mul(clipped, advantage));
  const isNegative = b.less(advantage, 0);
  const bounded =
    dual === null
      ? pessimistic
      : b.where(isNegative, b.max(pessimistic, b.scale(advantage, dual)), pessimistic);
  const isAbove = b.and(b.greater(ratio, 1 + high), b.greater(advantage, 0));
  const isBelow = b.and(b.less(ratio, 1 - low), isNegative);
  return { loss: b.neg(bounded), isClipped: b.cast(b.or(isAbove, isBelow), ratio.dtype) };
}

/**
 * −sg(min(r, c))·Â·log π per sample: REINFORCE with a bounded importance weight, so that no token loses its gradient. CISPO: MiniMax-M1, arXiv:2506.13585,
 * eq. 4, with an upper bound only, as in ScaleRL, arXiv:2510.13786.
 *
 * @param logProbs log π, [n]. @param advantages Â, [n]. @param bound c > 0.
 */
export function cappedReinforce(
  b: GraphBuilder,
  logProbs: Node,
  { ratio }: ImportanceRatio,
  advantages: Node,
  bound: number,
): Surrogate {
  const weight = b.stopGradient(b.min(ratio, bound));
  return {
    loss: b.neg(b.mul(b.mul(weight, b.stopGradient(advantages)), logProbs)),
    isClipped: b.cast(b.greater(ratio, bound), ratio.dtype),
  };
}

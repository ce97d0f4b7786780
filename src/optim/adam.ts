import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

export interface AdamOptions {
  /** Decay of the first moment, in [0, 1). @default 0.9 */
  readonly beta1?: number;
  /** Decay of the second moment, in [0, 1). @default 0.999 */
  readonly beta2?: number;
  /** Added to the root of the second moment. @default 1e-8 */
  readonly epsilon?: number;
  /** λ of AdamW, per step, times the learning rate. @default 0 */
  readonly weightDecay?: number;
}

/** A parameter with its moments, all of one shape and float dtype. */
export interface AdamState {
  readonly value: Node;
  /** First moment, m. */
  readonly m: Node;
  /** Second moment, v. */
  readonly v: Node;
}

/** 1 − β^t of both moments, of rank 0. */
export interface BiasCorrection {
  readonly first: Node;
  readonly second: Node;
}

/**
 * 1 − β₁^t and 1 − β₂^t, computed in float64: in float32, 1 − 0.999 is wrong in the fifth digit.
 *
 * @param t int64 of rank 0: the number of this update, from 1. @param dtype of the parameters.
 */
export function biasCorrection(
  b: GraphBuilder,
  t: Node,
  dtype: 'float32' | 'float64',
  { beta1 = 0.9, beta2 = 0.999 }: AdamOptions = {},
): BiasCorrection {
  const t64 = b.cast(t, 'float64');
  const correction = (beta: number): Node => {
    if (beta === 0) return b.scalar(1, dtype); // log 0
    const power = b.exp(b.scale(t64, Math.log(beta)));
    return b.cast(b.addScalar(b.neg(power), 1), dtype);
  };
  return { first: correction(beta1), second: correction(beta2) };
}

/**
 * One update of Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) with decoupled weight decay (AdamW, Loshchilov &
 * Hutter 2019, arXiv:1711.05101), in PyTorch's order: decay first, and ε beside the root of the
 * corrected v.
 *
 *   θ ← θ·(1 − α·λ);  m ← m + (1−β₁)·(g − m);  v ← β₂·v + (1−β₂)·g²;  θ ← θ − α·√c₂/c₁ · m / (√v + ε·√c₂)
 *
 * An element whose gradient and moments are 0 (a row of padding) stays as it is.
 *
 * @param learningRate α, rank 0, in the dtype of the parameter. @param correction c₁, c₂.
 */
export function adam(
  b: GraphBuilder,
  { value, m, v }: AdamState,
  gradient: Node,
  learningRate: Node,
  correction: BiasCorrection,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 }: AdamOptions = {},
): AdamState {
  const nextM = b.add(m, b.scale(b.sub(gradient, m), 1 - beta1));
  const nextV = b.add(b.scale(v, beta2), b.scale(b.square(gradient), 1 - beta2));
  // Both corrections as scalars (section 2 of the paper): one pass less over the parameter than correcting v itself.
  const rootCorrection = b.sqrt(correction.second);
  const rate = b.div(b.mul(learningRate, rootCorrection), correction.first);
  const root = b.addScalar(b.sqrt(nextV), b.scale(rootCorrection, epsilon));
  const step = b.div(b.scale(nextM, rate), root);
  const decayed =
    weightDecay === 0 ? value : b.scale(value, b.addScalar(b.scale(learningRate, -weightDecay), 1));
  return { value: b.sub(decayed, step), m: nextM, v: nextV };
}

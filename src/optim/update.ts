import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import { NEXT } from '../autodiff/in-place';
import type { AdamOptions, AdamState } from './adam';
import { adam, biasCorrection } from './adam';
import { clipScale, globalNorm, isFinite } from './global-norm';

/** A parameter that learns, with its gradient. */
export interface Learning extends AdamState {
  readonly gradient: Node;
  /** Whether weightDecay applies to it. */
  readonly isDecayed: boolean;
}

export interface UpdateOptions extends AdamOptions {
  /** Gradients with a larger global norm are scaled down to it; null: never. */
  readonly maxGradNorm: number | null;
}

export interface Update {
  /** `next.<input>` of every value, moment and the step. */
  readonly outputs: Readonly<Record<string, Node>>;
  /** Before clipping. */
  readonly gradNorm: Node;
  /** bool, rank 0. */
  readonly finite: Node;
}

/**
 * One update of AdamW: clipping by the global norm, then all parameters. If the loss or any gradient is NaN or infinite, `finite` is false, and
 * everything comes out as it went in. Finiteness of the gradients is that of their squared norm, so a norm above 1.8e19 (float32)
 * counts as infinite as well. No new value is there before the last gradient was read.
 *
 * @param step int64, rank 0: updates done before this one. @param learningRate, loss of rank 0.
 */
export function update(
  b: GraphBuilder,
  parameters: readonly Learning[],
  {
    step,
    learningRate,
    loss,
  }: { readonly step: Node; readonly learningRate: Node; readonly loss: Node },
  { maxGradNorm, weightDecay = 0, ...betas }: UpdateOptions,
): Update {
  const dtype = loss.dtype as 'float32' | 'float64';
  const gradNorm = globalNorm(
    b,
    parameters.map(({ gradient }) => gradient),
    dtype,
  );
  const finite = b.and(isFinite(b, loss), isFinite(b, gradNorm));
  const scale = maxGradNorm === null ? null : clipScale(b, gradNorm, maxGradNorm);
  const nextStep = b.addScalar(step, 1);
  const correction = biasCorrection(b, nextStep, dtype, betas);

  const outputs: Record<string, Node> = {};
  for (const { gradient, isDecayed, ...state } of parameters) {
    const next = adam(
      b,
      state,
      scale === null ? gradient : b.scale(gradient, scale),
      learningRate,
      correction,
      { ...betas, weightDecay: isDecayed ? weightDecay : 0 },
    );
    for (const part of ['value', 'm', 'v'] as const) {
      outputs[NEXT + state[part].name] = b.select(finite, next[part], state[part]);
    }
  }
  outputs[NEXT + step.name] = b.select(finite, nextStep, step);
  return { outputs, gradNorm, finite };
}

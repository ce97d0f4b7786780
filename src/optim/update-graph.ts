import type { Graph, Shape } from '../autodiff/graph';
import { GraphBuilder } from '../autodiff/graph-builder';
import { verifyInPlace } from '../autodiff/in-place';
import { NEXT } from '../ports/tensor-workspace';
import type { AdamOptions } from './adam';
import { adam, biasCorrection } from './adam';
import { clipScale, globalNorm, isFinite } from './global-norm';

export interface UpdateSpec {
  /** Shapes of the parameters, by name. */
  readonly parameters: Readonly<Record<string, Shape>>;
  readonly optimizer: AdamOptions & {
    /** The parameters that weightDecay applies to: weight matrices, by custom. */
    readonly decayed: ReadonlySet<string>;
    /** Gradients with a larger global norm are scaled down to it; null: never. */
    readonly maxGradNorm: number | null;
  };
  readonly dtype?: 'float32' | 'float64';
}

export const GRADIENT = '.gradient';
export const FIRST_MOMENT = '.m';
export const SECOND_MOMENT = '.v';

/**
 * One update of AdamW from gradients that are already there, as one graph whose outputs take the place of its inputs.
 *
 * inputs   of each parameter w: `w`, `w.gradient`, `w.m`, `w.v`; `step` (int64, rank 0: updates done before this one);
 *          `learningRate`, `loss`, of rank 0
 * outputs  `next.w`, `next.w.m`, `next.w.v`, `next.step`; `gradNorm` (before clipping) and `finite` (bool)
 *
 * If the loss or the gradients' norm is NaN or infinite, `finite` is false, and parameters, moments and step stay as they were.
 * The norm is that of all gradients, so no parameter is touched before the last gradient was read.
 */
export function buildUpdateGraph({ parameters, optimizer, dtype = 'float32' }: UpdateSpec): Graph {
  const { decayed, maxGradNorm, weightDecay = 0, ...betas } = optimizer;
  const b = new GraphBuilder();
  const states = Object.entries(parameters).map(([name, shape]) => ({
    value: b.input(name, shape, dtype),
    gradient: b.input(`${name}${GRADIENT}`, shape, dtype),
    m: b.input(`${name}${FIRST_MOMENT}`, shape, dtype),
    v: b.input(`${name}${SECOND_MOMENT}`, shape, dtype),
  }));
  const step = b.input('step', [], 'int64');
  const learningRate = b.input('learningRate', [], dtype);
  const loss = b.input('loss', [], dtype);

  const gradNorm = globalNorm(
    b,
    states.map(({ gradient }) => gradient),
    dtype,
  );
  const finite = b.and(isFinite(b, loss), isFinite(b, gradNorm));
  const nextStep = b.addScalar(step, 1);
  const correction = biasCorrection(b, nextStep, dtype, betas);
  // Of rank 0, so that a graph without clipping is the same graph.
  const scale = maxGradNorm === null ? b.scalar(1, dtype) : clipScale(b, gradNorm, maxGradNorm);

  const outputs = new Map([[`${NEXT}step`, b.select(finite, nextStep, step)]]);
  for (const { gradient, ...state } of states) {
    const next = adam(b, state, b.scale(gradient, scale), learningRate, correction, {
      ...betas,
      weightDecay: decayed.has(state.value.name) ? weightDecay : 0,
    });
    for (const part of ['value', 'm', 'v'] as const) {
      outputs.set(`${NEXT}${state[part].name}`, b.select(finite, next[part], state[part]));
    }
  }
  const graph = b.build({ ...Object.fromEntries(outputs), gradNorm, finite });
  verifyInPlace(graph, new Map([...outputs.keys()].map((name) => [name, name.slice(NEXT.length)])));
  return graph;
}

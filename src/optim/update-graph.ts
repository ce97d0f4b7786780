import type { Graph, Shape } from '../autodiff/graph';
import { GraphBuilder } from '../autodiff/graph-builder';
import { verifyNext } from '../autodiff/in-place';
import { update, type UpdateOptions } from './update';

export interface UpdateSpec {
  /** Shapes of the parameters, by name. */
  readonly parameters: Readonly<Record<string, Shape>>;
  readonly optimizer: UpdateOptions & {
    /** The parameters that weightDecay applies to: weight matrices, by custom. */
    readonly decayed: ReadonlySet<string>;
  };
}

export const GRADIENT = '.gradient';
export const FIRST_MOMENT = '.m';
export const SECOND_MOMENT = '.v';

/**
 * One update of AdamW from gradients that are already there, as one float32 graph whose outputs take the place of its inputs (see `update`).
 *
 * inputs   of each parameter w: `w`, `w.gradient`, `w.m`, `w.v`; `step` (int64, rank 0: updates done before this one);
 *          `learningRate`, `loss`, of rank 0
 * outputs  `next.w`, `next.w.m`, `next.w.v`, `next.step`; `gradNorm` (before clipping) and `finite` (bool)
 */
export function buildUpdateGraph({
  parameters,
  optimizer: { decayed, ...options },
}: UpdateSpec): Graph {
  const b = new GraphBuilder();
  const learning = Object.entries(parameters).map(([name, shape]) => ({
    value: b.input(name, shape),
    gradient: b.input(name + GRADIENT, shape),
    m: b.input(name + FIRST_MOMENT, shape),
    v: b.input(name + SECOND_MOMENT, shape),
    isDecayed: decayed.has(name),
  }));
  const scalars = {
    step: b.input('step', [], 'int64'),
    learningRate: b.input('learningRate', []),
    loss: b.input('loss', []),
  };
  const { outputs, gradNorm, finite } = update(b, learning, scalars, options);
  const graph = b.build({ ...outputs, gradNorm, finite });
  verifyNext(graph);
  return graph;
}

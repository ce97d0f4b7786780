import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Σ_i w_i · x_i / Σ_i w_i over the rows of a batch, of rank 0. Rows of padding weigh 0.
 *
 * @param values [B]. @param weights [B], >= 0.
 * @param denominator rank 0, replaces Σ w: the weight of the *global* batch, where this one is a part of it. It is never taken
 *   below 1e-8, so a batch that weighs nothing has loss 0.
 */
export function weightedMean(
  b: GraphBuilder,
  values: Node,
  weights: Node,
  denominator?: Node,
): Node {
  const total = b.max(denominator ?? b.sumAll(weights), 1e-8);
  return b.div(b.sumAll(b.mul(values, weights)), total);
}

import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Dropout by a mask that the caller draws: a graph holds no random numbers, so a step can be repeated bit for bit.
 *
 * @param mask of x's shape: 0 where a value is dropped, 1/(1 − rate) where it is kept (inverted dropout, so that nothing has
 *   to change when acting). Srivastava et al. 2014.
 */
export function dropout(b: GraphBuilder, x: Node, mask: Node): Node {
  return b.mul(x, mask);
}

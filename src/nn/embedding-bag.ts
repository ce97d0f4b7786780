import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Weighted sums of embedding rows, as one matrix product: out[i] = Σ_u bag[i, u] · rows[u].
 *
 * Only the U rows that occur in a batch enter the graph, so a step costs what its batch uses, whatever the size of the
 * table; the gradient is bagᵀ · dy, with no scatter.
 *
 * @param bag [B, U]: how much of row u text i takes (counts over their sum: a mean); columns of padding are 0.
 * @param rows [U, D].
 * @returns [B, D].
 */
export function embeddingBag(b: GraphBuilder, bag: Node, rows: Node): Node {
  return b.matMul(bag, rows);
}

import { withGradient } from '../autodiff/custom-gradient';
import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** What a loss reads of a distribution over tokens. Both [rows], in nats. */
export interface TokenDistribution {
  /** log π of the chosen tokens. */
  readonly logProbs: Node;
  /** −Σ π log π; costs nothing where nobody uses it. */
  readonly entropies: Node;
}

/**
 * The log-probabilities of chosen tokens: log softmax(hidden · tableᵀ)[target], for those positions only that a loss needs.
 *
 * Their gradient is written by hand, so that the one-hot targets never become a matrix of V columns: with p = π and a = dy ⊙ hidden,
 *
 *   dhidden = dy ⊙ (table[target] − p · table);   dtable = scatter(a at target) − pᵀ · a
 *
 * @param hidden [rows, D]. @param table [V, D]: the output embedding. @param targets int64 [rows], in [0, V).
 */
export function selectedLogProbs(
  b: GraphBuilder,
  hidden: Node,
  table: Node,
  targets: Node,
): TokenDistribution {
  const [rows] = hidden.shape as [number, number];
  const [, size] = table.shape as [number, number];
  const all = b.logSoftmax(b.gemm(hidden, table, { transB: true })); // [rows, V]
  const selected = b.gatherElements(all, b.reshape(targets, [rows, 1]), 1);
  const entropies = b.neg(b.reduceSum(b.mul(b.exp(all), all), [1], { keepdims: false }));
  const logProbs = withGradient(b.reshape(selected, [rows]), [hidden, table], (dy) => {
    const column = b.reshape(dy, [rows, 1]);
    const probabilities = b.exp(all);
    const expected = b.gemm(probabilities, table); // [rows, D]
    const weighted = b.mul(hidden, column);
    const at = b.expand(b.reshape(targets, [rows, 1]), [rows, size]);
    const toTargets = b.scatterElements(b.zeros(table.shape, table.dtype), at, weighted, {
      axis: 0,
      reduction: 'add',
    });
    return [
      b.mul(b.sub(b.gather(table, targets), expected), column),
      b.gemm(probabilities, b.neg(weighted), { transA: true, add: toTargets }),
    ];
  });
  return { logProbs, entropies };
}

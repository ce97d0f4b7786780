import { ShapeError } from '../errors';
import { withGradient } from '../autodiff/custom-gradient';
import type { Node } from '../autodiff/graph';
import { formatType } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import { scaledMatMul } from '../autodiff/runtime-operators';

/** What a token that may not be looked at adds to its score: after the softmax its weight is exactly 0. */
export const MASKED_SCORE = -1e9;

/**
 * The additive mask of rows in which several sequences stand one after the other: a token sees itself and what comes before it
 * in its own sequence.
 *
 * @param segments int64 [rows, length]: which sequence a token belongs to; padding is a sequence like any other.
 * @returns [rows, 1, length, length]: 0, or −1e9.
 */
export function packedCausalMask(
  b: GraphBuilder,
  segments: Node,
  dtype: 'float32' | 'float64' = 'float32',
): Node {
  const [rows, length] = segments.shape as [number, number];
  const isSame = b.equal(
    b.reshape(segments, [rows, 1, length, 1]),
    b.reshape(segments, [rows, 1, 1, length]),
  );
  const order = Uint8Array.from({ length: length * length }, (_, i) =>
    Number(i % length <= Math.floor(i / length)),
  );
  const isBefore = b.constant(order, [1, 1, length, length]);
  const constant = (value: number): Node => b.full([1, 1, 1, 1], value, dtype);
  return b.where(b.and(isSame, isBefore), constant(0), constant(MASKED_SCORE));
}

/**
 * Grouped-query attention: softmax(q·kᵀ/√size + mask)·v, where each head of k and v serves `groups` heads of q.
 * Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023, arXiv:2305.13245.
 *
 * The query heads that share one head of k are stacked, so k and v are never repeated, and the sums over them that their gradients
 * need happen inside a matrix product. The gradient is written by hand: with P the weights and δ = Σ (dy ⊙ y) per query,
 *
 *   dv = Pᵀ·dy;   ds = P ⊙ (dy·vᵀ − δ);   dq = ds·k/√size;   dk = dsᵀ·q/√size     (Dao et al. 2022, arXiv:2205.14135, appendix B)
 *
 * which makes two passes over the scores where the softmax's own rule makes four.
 *
 * @param q [rows, heads, length, size]. @param k, v [rows, kvHeads, length, size]; heads is a multiple of kvHeads, and query
 *   heads i·groups … (i+1)·groups − 1 belong to head i. @param mask [rows, 1, length, length], added to the scores.
 * @returns [rows, heads, length, size].
 */
export function causalAttention(b: GraphBuilder, q: Node, k: Node, v: Node, mask: Node): Node {
  const [rows, , length, size] = q.shape as [number, number, number, number];
  const kvHeads = k.shape[1] as number;
  const groups = headGroups(q, k);
  const stacked = [rows, kvHeads, groups * length, size];
  const alpha = 1 / Math.sqrt(size);
  const queries = b.reshape(q, stacked);
  const products = scaledMatMul(b, queries, k, { transB: true, alpha }); // [rows, kvHeads, groups·length, length]
  const scores = b.add(
    b.reshape(products, [rows, kvHeads, groups, length, length]),
    b.reshape(mask, [rows, 1, 1, length, length]),
  );
  const weights = b.reshape(b.softmax(scores), [rows, kvHeads, groups * length, length]);
  const stackedOutput = scaledMatMul(b, weights, v);
  const output = b.identity(b.reshape(stackedOutput, q.shape)); // a node of its own, also where nothing is to reshape
  return withGradient(output, [q, k, v, mask], (dy) => {
    const dOutput = b.reshape(dy, stacked);
    const delta = b.reduceSum(b.mul(dOutput, stackedOutput), [3]); // [rows, kvHeads, groups·length, 1]
    const dWeights = scaledMatMul(b, dOutput, v, { transB: true });
    const dScores = b.mul(weights, b.sub(dWeights, delta));
    return [
      b.reshape(scaledMatMul(b, dScores, k, { alpha }), q.shape),
      scaledMatMul(b, dScores, queries, { transA: true, alpha }),
      scaledMatMul(b, weights, dOutput, { transA: true }),
      null,
    ];
  });
}

/** @returns how many heads of q each head of k serves. @throws {ShapeError} if they do not come out even. */
export function headGroups(q: Node, k: Node): number {
  const groups = (q.shape[1] as number) / (k.shape[1] as number);
  if (Number.isInteger(groups)) return groups;
  throw new ShapeError(
    `attention expected the heads of q to be a multiple of those of k, got ${formatType(q)} and ${formatType(k)}`,
  );
}

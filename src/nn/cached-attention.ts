import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import { scaledMatMul } from '../autodiff/runtime-operators';
import { headGroups, MASKED_SCORE } from './causal-attention';

/** Keys and values of the tokens before a batch. */
export interface AttentionCache {
  /** [rows, kvHeads, capacity, size] each; what lies behind a row's length is anything finite. */
  readonly k: Node;
  readonly v: Node;
  /** [rows, 1, 1, capacity], added to the scores: see `cacheMask`. */
  readonly mask: Node;
}

/**
 * @param lengths int64 [rows]: how many positions of each row's cache are filled.
 * @returns [rows, 1, 1, capacity]: 0 for those, −1e9 behind them.
 */
export function cacheMask(b: GraphBuilder, lengths: Node, capacity: number): Node {
  const [rows] = lengths.shape as [number];
  const positions = b.constant(
    BigInt64Array.from({ length: capacity }, (_, i) => BigInt(i)),
    [...[1, 1, 1, capacity]],
  );
  const isFilled = b.less(positions, b.reshape(lengths, [rows, 1, 1, 1]));
  const constant = (value: number): Node => b.full([1, 1, 1, 1], value, 'float32');
  return b.where(isFilled, constant(0), constant(MASKED_SCORE));
}

/**
 * Grouped-query attention of new tokens to those in a cache and to each other, each to itself and what comes before it; no gradient.
 * One softmax goes over both: softmax([q·cacheᵀ, q·kᵀ]/√size + masks)·[cached v, v]. The cache is only read, so that it need not be copied
 * to hold the new tokens too; whoever runs the graph puts their k and v there.
 *
 * q is scaled and not the product: ONNX Runtime's kernels for a single row are only taken by products that are not scaled.
 *
 * @param q [rows, heads, length, size]. @param k, v [rows, kvHeads, length, size]; heads is a multiple of kvHeads.
 * @param cache null where there is nothing before the tokens.
 * @returns [rows, heads, length, size].
 */
export function cachedAttention(
  b: GraphBuilder,
  q: Node,
  k: Node,
  v: Node,
  cache: AttentionCache | null,
): Node {
  const [rows, , length, size] = q.shape as [number, number, number, number];
  const kvHeads = k.shape[1] as number;
  const groups = headGroups(q, k);
  const stacked = [rows, kvHeads, groups * length, size];
  const queries = b.reshape(b.scale(q, 1 / Math.sqrt(size)), stacked);
  const own = causalScores(b, scaledMatMul(b, queries, k, { transB: true }), length);
  if (cache === null) {
    return b.reshape(scaledMatMul(b, b.softmax(own), v), q.shape);
  }
  const capacity = cache.k.shape[2] as number;
  const before = b.add(scaledMatMul(b, queries, cache.k, { transB: true }), cache.mask);
  const weights = b.softmax(b.concat([before, own], 3)); // [rows, kvHeads, groups·length, capacity + length]
  const fromCache = scaledMatMul(b, b.slice(weights, 3, 0, capacity), cache.v);
  const fromOwn = scaledMatMul(b, b.slice(weights, 3, capacity, capacity + length), v);
  return b.reshape(b.add(fromCache, fromOwn), q.shape);
}

/** @param scores [rows, kvHeads, groups·length, length]. */
function causalScores(b: GraphBuilder, scores: Node, length: number): Node {
  if (length === 1) return scores; // a token may look at itself
  const [rows, kvHeads, stackedLength] = scores.shape as [number, number, number, number];
  const groups = stackedLength / length;
  const mask = Float32Array.from({ length: length * length }, (_, i) =>
    i % length <= Math.floor(i / length) ? 0 : MASKED_SCORE,
  );
  const masked = b.add(
    b.reshape(scores, [rows, kvHeads, groups, length, length]),
    b.constant(mask, [1, 1, 1, length, length]),
  );
  return b.reshape(masked, scores.shape);
}

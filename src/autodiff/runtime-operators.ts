import type { Node } from './graph';
import type { GraphBuilder } from './graph-builder';

// Operators that ONNX Runtime adds to ONNX, in float32 only. In float64, which gradients are checked in, several standard ones stand for them.

interface ScaledMatMulOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** @default 1 */
  readonly alpha?: number;
}

/** alpha · op(x) · op(y) of stacks of matrices, where op swaps the last two axes if told to. */
export function scaledMatMul(
  b: GraphBuilder,
  x: Node,
  y: Node,
  { transA = false, transB = false, alpha = 1 }: ScaledMatMulOptions = {},
): Node {
  if (x.dtype === 'float32') {
    return b.append('FusedMatMul', [x, y], { transA, transB, alpha: Math.fround(alpha) });
  }
  const product = b.matMul(transA ? b.transpose(x) : x, transB ? b.transpose(y) : y);
  return alpha === 1 ? product : b.scale(product, alpha);
}

/** x · σ(x). Elfwing et al. 2017, arXiv:1702.03118. */
export function silu(b: GraphBuilder, x: Node): Node {
  if (x.dtype === 'float32') return b.append('QuickGelu', [x], { alpha: 1 });
  return b.mul(x, b.sigmoid(x));
}

/**
 * Rotates the pairs (x[…, i], x[…, size/2 + i]) by the angle of their position: the "rotate half" form of rotary embeddings
 * that Llama's checkpoints have. Su et al. 2021, arXiv:2104.09864.
 *
 *   y[i] = x[i]·cos − x[i + size/2]·sin;  y[i + size/2] = x[i + size/2]·cos + x[i]·sin
 *
 * No gradient flows to the tables.
 *
 * @param x [batch, heads, length, size]. @param positions int64 [batch, length], rows of the tables.
 * @param cos, sin [positions, size/2], in the dtype of x.
 */
export function rotaryEmbedding(
  b: GraphBuilder,
  x: Node,
  positions: Node,
  cos: Node,
  sin: Node,
): Node {
  if (x.dtype === 'float32') return b.append('RotaryEmbedding', [x, positions, cos, sin], {});
  const [batch, , length, size] = x.shape as [number, number, number, number];
  const half = size / 2;
  const angles = [batch, 1, length, half];
  const c = b.reshape(b.gather(cos, positions), angles);
  const s = b.reshape(b.gather(sin, positions), angles);
  const low = b.slice(x, 3, 0, half);
  const high = b.slice(x, 3, half, size);
  return b.concat([b.sub(b.mul(low, c), b.mul(high, s)), b.add(b.mul(high, c), b.mul(low, s))], 3);
}

import { withGradient } from '../autodiff/custom-gradient';
import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Root mean square normalization over the last axis: y = x / √(mean(x²) + ε) · weight. Zhang & Sennrich 2019, arXiv:1910.07467.
 *
 * The gradient is written by hand. With x̂ = x/rms and g = dy ⊙ weight,
 *
 *   dx = (g − x̂ · mean(g ⊙ x̂)) / rms;   dweight = Σ_rows dy ⊙ x̂
 *
 * where mean(g ⊙ x̂) = (dy ⊙ x̂) · weight / D is a matrix product, so fewer passes over x than by the rules of the parts.
 *
 * @param x [rows, D]. @param weight [D].
 * @returns [rows, D].
 */
export function rmsNorm(b: GraphBuilder, x: Node, weight: Node, epsilon: number): Node {
  const [, size] = x.shape as [number, number];
  const meanSquare = b.scale(b.reduceSumSquare(x, [1]), 1 / size); // [rows, 1]
  const rms = b.sqrt(b.addScalar(meanSquare, epsilon));
  const inverse = b.div(b.full(rms.shape, 1, x.dtype), rms);
  const normalized = b.mul(x, inverse);
  const scale = b.reshape(weight, [1, size]);
  return withGradient(b.mul(normalized, scale), [x, weight], (dy) => {
    const product = b.mul(dy, normalized);
    const mean = b.scale(b.matMul(product, b.reshape(weight, [size, 1])), 1 / size); // [rows, 1]
    const dx = b.mul(b.sub(b.mul(dy, scale), b.mul(normalized, mean)), inverse);
    return [dx, b.reduceSum(product, [0], { keepdims: false })];
  });
}

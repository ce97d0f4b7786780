import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** Exact GELU: x · Φ(x) = x/2 · (1 + erf(x/√2)), elementwise. Hendrycks & Gimpel 2016, arXiv:1606.08415; not the tanh approximation. */
export function gelu(b: GraphBuilder, x: Node): Node {
  const cdf = b.scale(b.addScalar(b.erf(b.scale(x, Math.SQRT1_2)), 1), 0.5);
  return b.mul(x, cdf);
}

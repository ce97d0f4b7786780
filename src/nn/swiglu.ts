import { withGradient } from '../autodiff/custom-gradient';
import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import { silu } from '../autodiff/runtime-operators';

/**
 * silu(gate) ⊙ up, silu(x) = x · σ(x): what lies between the two halves of a Llama's feed-forward layer. Shazeer 2020, arXiv:2002.05202.
 *
 * The gradient is written by hand, on silu itself: with s = σ(gate) and a = gate · s, silu'(gate) = s · (1 + gate − a).
 *
 * @param gate, up of one shape.
 */
export function swiglu(b: GraphBuilder, gate: Node, up: Node): Node {
  const activated = silu(b, gate);
  return withGradient(b.mul(activated, up), [gate, up], (dy) => {
    const slope = b.mul(b.sigmoid(gate), b.addScalar(b.sub(gate, activated), 1));
    return [b.mul(b.mul(dy, up), slope), b.mul(dy, activated)];
  });
}

import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** ‖g‖₂ over all elements of all gradients, of rank 0. */
export function globalNorm(
  b: GraphBuilder,
  gradients: readonly Node[],
  dtype: 'float32' | 'float64',
): Node {
  const squares = gradients.map((gradient) => b.sumAll(b.square(gradient)));
  return b.sqrt(squares.reduce((sum, square) => b.add(sum, square), b.scalar(0, dtype)));
}

/**
 * What to multiply gradients by so that their global norm is at most `max`: min(1, max / (‖g‖ + 1e-6)), as
 * torch.nn.utils.clip_grad_norm_. Pascanu et al. 2013, arXiv:1211.5063.
 */
export function clipScale(b: GraphBuilder, norm: Node, max: number): Node {
  return b.min(b.div(b.scalar(max, norm.dtype), b.addScalar(norm, 1e-6)), 1);
}

/** Whether x, of rank 0, is neither NaN nor infinite. */
export function isFinite(b: GraphBuilder, x: Node): Node {
  return b.not(b.or(b.isNaN(x), b.isInf(x)));
}

import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * y = x · Wᵀ + bias, as in torch.nn.Linear.
 *
 * @param x [B, in]; flatten leading dimensions first.
 * @param weight [out, in].
 * @param bias [out]; left out: none.
 * @returns [B, out].
 */
export function linear(b: GraphBuilder, x: Node, weight: Node, bias?: Node): Node {
  const y = b.gemm(x, weight, { transB: true });
  return bias === undefined ? y : b.add(y, b.reshape(bias, [1, ...bias.shape]));
}

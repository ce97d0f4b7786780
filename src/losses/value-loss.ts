import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * ½·max((V − R)², (clip(V, V_old ± ε) − R)²) per sample: the value must not run away from where it was when the returns were estimated.
 * Schulman et al. 2017's implementation; https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/, detail 9.
 *
 * @param values V, [n]. @param returns R, [n]; no gradient flows into them. @param oldValues V_old, [n]. @param clip ε, in units of the return; null: ½(V − R)².
 */
export function valueLoss(
  b: GraphBuilder,
  values: Node,
  returns: Node,
  oldValues: Node,
  clip: number | null,
): Node {
  const target = b.stopGradient(returns);
  const error = b.square(b.sub(values, target));
  if (clip === null) return b.scale(error, 0.5);
  const before = b.stopGradient(oldValues);
  const near = b.add(before, b.clip(b.sub(values, before), -clip, clip));
  return b.scale(b.max(error, b.square(b.sub(near, target))), 0.5);
}

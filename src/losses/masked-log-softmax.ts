import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** The logit of an arm that cannot be taken: its probability underflows to exactly 0, and all gradients stay finite. */
export const MASKED_LOGIT = -1e9;

/**
 * log π(a|x) over the available arms.
 *
 * @param logits [B, A].
 * @param available bool [B, A]; at least one per row. A row without any (padding) comes out uniform: give it weight 0.
 * @returns [B, A]; about −1e9 for a masked arm, so that 0 · log π is 0 and exp(log π) is 0.
 */
export function maskedLogSoftmax(b: GraphBuilder, logits: Node, available: Node): Node {
  return b.logSoftmax(b.where(available, logits, MASKED_LOGIT));
}

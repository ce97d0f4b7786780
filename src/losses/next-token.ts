import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * Negative log-likelihood of the tokens that came next: −w · log π(token), the loss of supervised fine-tuning.
 *
 * Tokens are not averaged here: the step divides their sum by one denominator, the weight of the whole *global* batch.
 *
 * @param logProbs log π, [targets], in nats. @param weights w, [targets]; 0 for padding.
 * @returns [targets].
 */
export function nextTokenLoss(b: GraphBuilder, logProbs: Node, weights: Node): Node {
  return b.neg(b.mul(logProbs, weights));
}

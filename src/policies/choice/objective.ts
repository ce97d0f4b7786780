import type { Node } from '../../autodiff/graph';
import type { GraphBuilder } from '../../autodiff/graph-builder';
import { armValues } from '../../losses/arm-values';
import { crossEntropy } from '../../losses/cross-entropy';
import { entropy } from '../../losses/entropy';
import { maskedLogSoftmax } from '../../losses/masked-log-softmax';
import { policyGradient } from '../../losses/policy-gradient';
import { weightedMean } from '../../losses/weighted-mean';
import { wrongArms } from '../../losses/wrong-arms';

/** What the objective reads of a batch; see BatchTensors. */
export type ObjectiveInput =
  | 'available'
  | 'right'
  | 'wrong'
  | 'wrongScale'
  | 'isDecision'
  | 'arms'
  | 'logPropensities'
  | 'advantages'
  | 'weights';

export interface ObjectiveOptions {
  readonly clip: number;
  readonly entropyBonus: number;
  /** @default 'arms' */
  readonly learns?: 'arms' | 'values';
}

/**
 * The loss of one batch: the mean over its rows, by their weights, of
 *
 *   Σ_a q_a · −log π_a                                  what is right
 *   + wrongScale · −log(1 − 0.999 Σ_a w_a · π_a)        what is wrong, as long as nothing right is known
 *   + isDecision · (clipped policy gradient − β · H(π))  what was tried
 *
 * With `learns: 'values'` it is the mean of the first two terms as a regression of each arm's value by itself, see `armValues`: q is
 * what the arms earned, w what they missed.
 *
 * @param logits float32 [B, arms]; π is their softmax over the available arms.
 * @returns the loss and its metrics, all of rank 0. `entropy` is in nats; `approxKl` and `clipFraction` are means over the
 *   rows with a decision, 0 where there is none.
 */
export function objective(
  b: GraphBuilder,
  logits: Node,
  batch: Readonly<Record<ObjectiveInput, Node>>,
  { clip, entropyBonus, learns }: ObjectiveOptions,
): { loss: Node; metrics: Record<'entropy' | 'approxKl' | 'clipFraction', Node> } {
  const logProbs = maskedLogSoftmax(b, logits, batch.available);
  const known =
    learns === 'values'
      ? b.mul(batch.wrongScale, armValues(b, logits, batch.right, batch.wrong))
      : b.add(
          crossEntropy(b, logProbs, batch.right),
          b.mul(batch.wrongScale, wrongArms(b, logProbs, batch.wrong)),
        );
  const tried = policyGradient(b, logProbs, { ...batch, clip });
  const entropies = entropy(b, logProbs);
  const triedTerm = b.sub(tried.loss, b.scale(entropies, entropyBonus));
  const rows = b.add(known, b.mul(batch.isDecision, triedTerm));
  const decisionWeights = b.mul(batch.isDecision, batch.weights);
  return {
    loss: weightedMean(b, rows, batch.weights),
    metrics: {
      entropy: weightedMean(b, entropies, batch.weights),
      approxKl: weightedMean(b, tried.approxKl, decisionWeights),
      clipFraction: weightedMean(b, tried.clipFraction, decisionWeights),
    },
  };
}

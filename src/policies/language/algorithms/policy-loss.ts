import type { Node } from '../../../autodiff/graph';
import type { GraphBuilder } from '../../../autodiff/graph-builder';
import {
  cappedReinforce,
  clippedSurrogate,
  type Surrogate,
} from '../../../losses/clipped-surrogate';
import {
  importanceRatio,
  sequenceRatio,
  type ImportanceRatio,
} from '../../../losses/importance-ratio';
import { klEstimate, klPenalty } from '../../../losses/kl-penalty';
import type { LossInput, TokenLoss } from '../training/accumulate-graph';
import type { PolicyObjective } from '../../../schemas/language-train-config';

/** What a policy loss is fed per token, beside `weights`. */
export const ADVANTAGES = 'advantages';
export const BEHAVIOR = 'behaviorLogProbs';
export const REFERENCE = 'referenceLogProbs';
export const CORRECTION = 'correction';
export const SEQUENCES = 'sequences';

/**
 * The loss of each sampled token:
 *
 *   w · (c · surrogate(r, Â) + β · r · k3(π, π_ref) − α · H(π))
 *
 * r = π/π_old per token, or per sequence (GSPO). c is the correction for a sampler that differs from the trainer, 1 without one.
 *
 * Sums, over the trained tokens: `policyLoss` and `kl` weighted as in the loss, `entropy`, `approxKl` (k3 of π_old ‖ π), `oldApproxKl` (−log r), `clipFraction`.
 */
export function policyLoss(objective: PolicyObjective): TokenLoss {
  const { surrogate, ratio: level, kl, entropyBonus, correction } = objective;
  const needsReference = kl > 0;
  return {
    inputs: [
      ...['weights', ADVANTAGES, BEHAVIOR],
      ...(needsReference ? [REFERENCE] : []),
      ...(correction === null ? [] : [CORRECTION]),
      ...(level === 'sequence' ? [SEQUENCES] : []),
    ],
    build(b, input) {
      const { logProbs, entropies, inputs } = input;
      const of = (name: string): Node => inputs[name] as Node;
      const weights = of('weights');
      const perTokenRatio = importanceRatio(b, logProbs, of(BEHAVIOR));
      const ratio =
        level === 'sequence'
          ? sequenceRatio(b, perTokenRatio.logRatio, of(SEQUENCES))
          : perTokenRatio;
      const { loss, isClipped } = surrogateOf(b, input, ratio, surrogate);
      const policy = b.mul(weights, correction === null ? loss : b.mul(of(CORRECTION), loss));
      const terms = [policy];
      const isTrained = b.cast(b.greater(weights, 0), weights.dtype);
      const sumOf = (x: Node): Node => b.sumAll(b.mul(isTrained, x));
      const { logRatio } = perTokenRatio;
      const sums: Record<string, Node> = {
        policyLoss: b.sumAll(policy),
        entropy: sumOf(entropies),
        approxKl: sumOf(b.sub(b.addScalar(perTokenRatio.ratio, -1), logRatio)),
        oldApproxKl: sumOf(b.neg(logRatio)),
        clipFraction: sumOf(isClipped),
      };
      if (needsReference) {
        const penalty = klPenalty(b, logProbs, of(REFERENCE), perTokenRatio.ratio);
        terms.push(b.mul(weights, b.scale(penalty, kl)));
        sums['kl'] = sumOf(klEstimate(b, logProbs, of(REFERENCE)));
      }
      if (entropyBonus > 0) terms.push(b.mul(weights, b.scale(entropies, -entropyBonus)));
      return { perToken: terms.reduce((sum, term) => b.add(sum, term)), sums };
    },
  };
}

function surrogateOf(
  b: GraphBuilder,
  { logProbs, inputs }: LossInput,
  ratio: ImportanceRatio,
  surrogate: PolicyObjective['surrogate'],
): Surrogate {
  const advantages = inputs[ADVANTAGES] as Node;
  switch (surrogate.kind) {
    case 'clip':
      return clippedSurrogate(b, ratio, advantages, surrogate);
    case 'cispo':
      return cappedReinforce(b, logProbs, ratio, advantages, surrogate.bound);
    case 'reinforce': {
      const isClipped = b.scale(b.stopGradient(logProbs), 0);
      return { loss: b.neg(b.mul(b.stopGradient(advantages), logProbs)), isClipped };
    }
  }
}

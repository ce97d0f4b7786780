import { InvalidInputError } from '../errors';
import type { Scores } from './reward-index';

/**
 * One reward of a trajectory's scores: Σ w·score / Σ w over the scorers that have both a weight and a score. A scorer that
 * does not apply to the task has no score and leaves both sums, so the reward of every task is on the same scale. An
 * attempt that failed by policy has the floor of src/scoring/score-trajectory.ts for scores, and so for its reward.
 *
 * @param weights by scorer name, positive; scores without a weight are metrics only.
 * @returns in the scores' units; null where no weighted scorer applies: there is nothing to learn from the trajectory.
 * @throws {InvalidInputError} naming the scorer whose weight is not positive and finite, or whose score is not finite.
 */
export function composeReward(
  scores: Scores,
  weights: Readonly<Record<string, number>>,
): number | null {
  let sum = 0;
  let weightSum = 0;
  // In the order of names: float addition does not commute over more than two terms, and JSON does not keep key order.
  for (const scorer of Object.keys(weights).sort()) {
    const weight = weights[scorer] as number;
    if (!(weight > 0 && Number.isFinite(weight))) {
      throw new InvalidInputError('the weight of a scorer: expected a positive number', {
        context: { scorer, got: weight },
      });
    }
    const score = scores.get(scorer);
    if (score === undefined) continue;
    if (!Number.isFinite(score)) {
      throw new InvalidInputError('a score: expected a finite number', {
        context: { scorer, got: score },
      });
    }
    sum += weight * score;
    weightSum += weight;
  }
  return weightSum === 0 ? null : sum / weightSum;
}

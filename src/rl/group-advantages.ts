import { leaveOneOutAdvantages, meanAdvantages } from './baselines';

/** What a group's rewards are compared to, and in which units. */
export type GroupNormalization =
  /** R − mean: Dr.GRPO, arXiv:2503.20783. */
  | 'mean'
  /** (R − mean) / std, the sample's: GRPO, arXiv:2402.03300, §4.1.2. It makes too easy and too hard tasks count more. */
  | 'std'
  /** R − mean, divided by the std of the whole batch's: REINFORCE++-baseline, arXiv:2501.03262; Lite-PPO, arXiv:2508.08221. */
  | 'batch-std'
  /** R − mean of the others: RLOO, arXiv:2402.14740. */
  | 'leave-one-out';

/** Keeps a division by a deviation of 0 finite. verl's value. */
const EPSILON = 1e-6;

/**
 * Advantages of rollouts, each compared to those of the same task.
 *
 * @param groups rewards of each group's rollouts, task units. A group of one has advantage 0 (with leave-one-out: it has no others, and so none either).
 * @returns as many, per group.
 */
export function groupAdvantages(
  groups: readonly Float64Array[],
  normalization: GroupNormalization,
): Float64Array[] {
  switch (normalization) {
    case 'mean':
      return groups.map(meanAdvantages);
    case 'leave-one-out':
      return groups.map((rewards) =>
        rewards.length < 2 ? new Float64Array(rewards.length) : leaveOneOutAdvantages(rewards),
      );
    case 'std':
      return groups.map((rewards) => {
        const deviation = sampleDeviation(rewards);
        return meanAdvantages(rewards).map((advantage) => advantage / (deviation + EPSILON));
      });
    case 'batch-std': {
      const centered = groups.map(meanAdvantages);
      const deviation = sampleDeviation(Float64Array.from(centered.flatMap((a) => [...a])));
      return centered.map((group) => group.map((advantage) => advantage / (deviation + EPSILON)));
    }
  }
}

/** √(Σ(x − mean)² / (n − 1)); 0 for fewer than two. */
function sampleDeviation(values: Float64Array): number {
  if (values.length < 2) return 0;
  const centered = meanAdvantages(values);
  return Math.sqrt(centered.reduce((sum, x) => sum + x * x, 0) / (values.length - 1));
}

/**
 * Rewards minus their mean: unbiased up to the factor (n − 1)/n, since every reward is part of its own baseline.
 *
 * @param rewards float64 [n]; task units.
 * @returns advantages, float64 [n], in the same units; not normalized.
 */
export function meanAdvantages(rewards: Float64Array): Float64Array {
  const mean = sum(rewards) / Math.max(1, rewards.length);
  return rewards.map((reward) => reward - mean);
}

/**
 * Rewards minus the mean of all the others: an unbiased baseline (Kool et al. 2019, "Buy 4 REINFORCE samples, get a
 * baseline for free!"; RLOO, arXiv:2402.14740). A single reward has no others: its advantage is the reward itself.
 *
 * @param rewards float64 [n]; task units.
 * @returns advantages, float64 [n], in the same units; not normalized.
 */
export function leaveOneOutAdvantages(rewards: Float64Array): Float64Array {
  const n = rewards.length;
  if (n < 2) return rewards.slice();
  const total = sum(rewards);
  return rewards.map((reward) => reward - (total - reward) / (n - 1));
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

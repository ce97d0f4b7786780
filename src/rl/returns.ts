/**
 * G_t = r_t + γ·G_{t+1}: what is still to come from each step on.
 *
 * @param rewards float64 [n], of one episode, in its order. @param discount γ in [0, 1].
 */
export function discountedReturns(rewards: Float64Array, discount: number): Float64Array {
  const returns = new Float64Array(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    next = (rewards[t] as number) + discount * next;
    returns[t] = next;
  }
  return returns;
}

export interface AdvantageEstimates {
  /** Â_t, [n]. */
  readonly advantages: Float64Array;
  /** Â_t + V_t, [n]: what the values are to become. */
  readonly returns: Float64Array;
}

/**
 * Generalized advantage estimation: Â_t = Σ_k (γλ)^k·δ_{t+k}, δ_t = r_t + γ·V_{t+1} − V_t. Schulman et al. 2015, arXiv:1506.02438, eq. 16.
 *
 * @param rewards float64 [n], of one episode that ended at its last step. @param values V_t, [n], before each step. @param lambda 0: one step's
 *   error, biased; 1: returns − V, of the largest variance.
 */
export function generalizedAdvantages(
  rewards: Float64Array,
  values: Float64Array,
  { discount, lambda }: { readonly discount: number; readonly lambda: number },
): AdvantageEstimates {
  const advantages = new Float64Array(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const value = values[t] as number;
    const delta = (rewards[t] as number) + discount * (values[t + 1] ?? 0) - value;
    next = delta + discount * lambda * next;
    advantages[t] = next;
  }
  return { advantages, returns: advantages.map((a, t) => a + (values[t] as number)) };
}

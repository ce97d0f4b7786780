import { discountedReturns } from '../../../rl/returns';
import type { ConfigOf } from '../../../schemas/language-train-config';
import type { Algorithm } from './algorithm';
import { penalized, usableGroups } from './comparable-groups';
import { DropCount } from './drops';
import { valueEpisode } from './group-relative';
import { policyBatch, scoresNeeded } from './policy-batch';
import { policyLoss } from './policy-loss';
import { returnOf } from './samples';

/**
 * REINFORCE with a running baseline. Williams 1992, https://doi.org/10.1007/BF00992696. Â = G − b, G what an episode earned from a step on, b a running mean of what
 * earlier iterations' episodes earned: b' = d·b + (1 − d)·mean(R). The first iteration's baseline is its own mean.
 */
export function reinforce({ objective, baseline }: ConfigOf<'reinforce'>): Algorithm {
  return {
    loss: policyLoss(objective),
    needs: scoresNeeded(objective),
    batch(groups, scoresOf, state) {
      const drops = new DropCount();
      const { maxAge, overlong } = objective;
      const episodes = usableGroups(groups, { maxAge }, drops)
        .flatMap((group) => group.episodes)
        .map((episode) => penalized(episode, overlong));
      const returns = episodes.map(returnOf);
      const mean = returns.reduce((sum, r) => sum + r, 0) / Math.max(1, returns.length);
      const subtracted = baseline === null ? 0 : (state.baseline ?? mean);
      const valued = episodes.flatMap((episode) => {
        const { stepRewards } = episode;
        if (stepRewards === null) return valueEpisode(episode, () => episode.reward - subtracted);
        const toCome = discountedReturns(Float64Array.from(stepRewards), 1);
        return valueEpisode(episode, (step) => (toCome[step] ?? 0) - subtracted);
      });
      const batch = policyBatch(valued, objective, scoresOf, drops);
      const next =
        baseline === null || returns.length === 0
          ? state.baseline
          : baseline.decay * subtracted + (1 - baseline.decay) * mean;
      return {
        batch: { ...batch, drops: drops.counts(), metrics: { baseline: subtracted } },
        state: { baseline: next },
      };
    },
  };
}

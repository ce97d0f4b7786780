import { groupAdvantages, type GroupNormalization } from '../../../rl/group-advantages';
import { discountedReturns } from '../../../rl/returns';
import type { PolicyObjective } from '../../../schemas/language-train-config';
import type { Algorithm } from './algorithm';
import { penalized, usableGroups } from './comparable-groups';
import { DropCount } from './drops';
import { filled, policyBatch, scoresNeeded, type ValuedSample } from './policy-batch';
import { policyLoss } from './policy-loss';
import { returnOf, type Episode, type EpisodeGroup } from './samples';

/**
 * Algorithms that compare the episodes of one task: one advantage per episode for all that the policy wrote in it; or, where each step was
 * scored, one per step: the sum of the normalized rewards from it on ("process supervision", GRPO, arXiv:2402.03300, §4.1.3).
 */
export function groupRelative({
  objective,
  normalization,
  zeroVariance,
}: {
  readonly objective: PolicyObjective;
  readonly normalization: GroupNormalization;
  readonly zeroVariance: 'drop' | 'keep';
}): Algorithm {
  return {
    loss: policyLoss(objective),
    needs: scoresNeeded(objective),
    batch(groups, scoresOf, state) {
      const drops = new DropCount();
      const { maxAge, overlong } = objective;
      const usable = usableGroups(groups, { maxAge, compared: { zeroVariance } }, drops).map(
        ({ task, episodes }) => ({
          task,
          episodes: episodes.map((episode) => penalized(episode, overlong)),
        }),
      );
      const valued = valueGroups(usable, normalization);
      const batch = policyBatch(valued, objective, scoresOf, drops);
      return { batch: { ...batch, drops: drops.counts(), metrics: {} }, state };
    },
  };
}

function valueGroups(
  groups: readonly EpisodeGroup[],
  normalization: GroupNormalization,
): ValuedSample[] {
  const areSteps = groups.map(({ episodes }) => episodes.every((e) => e.stepRewards !== null));
  const rewards = groups.map(({ episodes }, g) =>
    Float64Array.from(
      areSteps[g] === true ? episodes.flatMap((e) => e.stepRewards ?? []) : episodes.map(returnOf),
    ),
  );
  const advantages = groupAdvantages(rewards, normalization);
  return groups.flatMap(({ episodes }, g) => {
    const values = advantages[g] as Float64Array;
    let next = 0;
    return episodes.flatMap((episode, i) => {
      if (areSteps[g] !== true) return valueEpisode(episode, () => values[i] as number);
      const count = episode.stepRewards?.length ?? 0;
      const toCome = discountedReturns(values.subarray(next, next + count), 1);
      next += count;
      return valueEpisode(episode, (step) => toCome[step] ?? 0);
    });
  });
}

/** @param advantage of each step. */
export function valueEpisode(
  { samples }: Episode,
  advantage: (step: number) => number,
): ValuedSample[] {
  return samples.map((sample) => ({
    sample,
    advantages: filled(sample.tokens.length, (t) => advantage(sample.steps[t] as number)),
  }));
}

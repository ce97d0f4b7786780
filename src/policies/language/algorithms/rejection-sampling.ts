import type { ConfigOf } from '../../../schemas/language-train-config';
import type { Algorithm } from './algorithm';
import { usableGroups } from './comparable-groups';
import { DropCount } from './drops';
import { IMITATION, imitationBatch } from './imitation';
import { returnOf, sampledTokens, type Episode } from './samples';

/**
 * Supervised fine-tuning on the episodes that earned enough: rejection-sampling fine-tuning (Touvron et al. 2023, arXiv:2307.09288, §3.2.3; RAFT,
 * arXiv:2304.06767). One per task, so that easy tasks do not crowd out hard ones.
 */
export function rejectionSampling({
  minReward,
  perTask,
}: ConfigOf<'rejection-sampling'>): Algorithm {
  return {
    ...IMITATION,
    batch(groups, _, state) {
      const drops = new DropCount();
      const usable = usableGroups(groups, { maxAge: Infinity }, drops);
      const kept = usable.map(({ episodes }) =>
        episodes
          .filter((episode) => returnOf(episode) >= minReward)
          .map((episode) => ({ episode, length: lengthOf(episode) }))
          .sort((a, b) => returnOf(b.episode) - returnOf(a.episode) || a.length - b.length)
          .slice(0, perTask)
          .map(({ episode }) => episode),
      );
      const solved = kept.filter((episodes) => episodes.length > 0).length;
      const metrics = { acceptedTasks: solved / Math.max(1, kept.length) };
      const batch = imitationBatch(kept.flat(), drops);
      return { batch: { ...batch, drops: drops.counts(), metrics }, state };
    },
  };
}

const lengthOf = ({ samples }: Episode): number =>
  samples.reduce((sum, sample) => sum + sampledTokens(sample), 0);

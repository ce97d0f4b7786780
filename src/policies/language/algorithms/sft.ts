import type { Algorithm } from './algorithm';
import { usableGroups } from './comparable-groups';
import { DropCount } from './drops';
import { IMITATION, imitationBatch } from './imitation';

/** Supervised fine-tuning on all that it is given, whatever it earned: demonstrations. The loss is −log π per token. */
export function sft(): Algorithm {
  return {
    ...IMITATION,
    batch(groups, _, state) {
      const drops = new DropCount();
      const usable = usableGroups(groups, { maxAge: Infinity }, drops);
      const episodes = usable.flatMap((group) => group.episodes);
      const batch = imitationBatch(episodes, drops);
      return { batch: { ...batch, drops: drops.counts(), metrics: {} }, state };
    },
  };
}

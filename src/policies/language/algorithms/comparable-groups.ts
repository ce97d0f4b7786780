import { overlongPenalty, type OverlongPenalty } from '../../../rl/overlong';
import type { DropCount } from './drops';
import { returnOf, sampledTokens, type Episode, type EpisodeGroup } from './samples';

/** Rewards that differ by less are the same: scores of judges carry rounding. SkyRL's tolerance. */
const SAME_REWARD = 1e-6;

export interface GroupSelection {
  readonly maxAge: number;
  /** @default keeps groups that cannot be compared: nobody compares them */
  readonly compared?: { readonly zeroVariance: 'drop' | 'keep' };
}

/** Groups as algorithms want them: fresh, with something in them, and where they are compared, with something to compare. */
export function usableGroups(
  groups: readonly EpisodeGroup[],
  { maxAge, compared }: GroupSelection,
  drops: DropCount,
): readonly EpisodeGroup[] {
  const usable: EpisodeGroup[] = [];
  for (const { task, episodes } of groups) {
    const fresh = episodes.filter(({ age }) => age <= maxAge);
    drops.add('stale', episodes.length - fresh.length);
    const written = fresh.filter(({ samples }) => samples.some((s) => sampledTokens(s) > 0));
    drops.add('no-samples', fresh.length - written.length);
    if (written.length === 0) continue;
    if (compared !== undefined && written.length < 2) drops.add('group-of-one');
    else if (compared?.zeroVariance === 'drop' && isLevel(written)) {
      drops.add('zero-variance', written.length);
    } else usable.push({ task, episodes: written });
  }
  return usable;
}

function isLevel(episodes: readonly Episode[]): boolean {
  const returns = episodes.map(returnOf);
  return Math.max(...returns) - Math.min(...returns) <= SAME_REWARD;
}

/** An episode whose length costs it: the penalty of its longest answer, on its reward or on that of its last step. */
export function penalized(episode: Episode, overlong: OverlongPenalty | null): Episode {
  if (overlong === null) return episode;
  const longest = Math.max(...episode.samples.map(sampledTokens));
  const penalty = overlongPenalty(longest, overlong);
  const { stepRewards } = episode;
  if (stepRewards === null) return { ...episode, reward: episode.reward + penalty };
  const last = stepRewards.length - 1;
  return { ...episode, stepRewards: stepRewards.map((r, i) => (i === last ? r + penalty : r)) };
}

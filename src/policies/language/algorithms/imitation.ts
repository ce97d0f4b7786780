import type { Algorithm, AlgorithmBatch } from './algorithm';
import type { DropCount } from './drops';
import { supervised } from '../training/supervised';
import { sampledTokens, type Episode } from './samples';

/** What algorithms that imitate have in common: −log π of what was written, all tokens the same. */
export const IMITATION: Pick<Algorithm, 'loss' | 'needs'> = { loss: supervised, needs: new Set() };

/** Episodes as examples. One that was cut off is no example of how to end. */
export function imitationBatch(
  episodes: readonly Episode[],
  drops: DropCount,
): Pick<AlgorithmBatch, 'sequences' | 'denominatorPerSequence'> {
  const samples = episodes.flatMap((episode) => episode.samples);
  const whole = samples.filter(({ isTruncated }) => !isTruncated);
  drops.add('truncated', samples.length - whole.length);
  return {
    sequences: whole
      .filter((sample) => sampledTokens(sample) > 0)
      .map(({ tokens, mask }) => ({ tokens, mask })),
    denominatorPerSequence: null,
  };
}

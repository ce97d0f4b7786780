import type { Node } from '../../../autodiff/graph';
import { preferenceLoss } from '../../../rl/preference';
import type { ConfigOf } from '../../../schemas/language-train-config';
import type { TokenLoss } from '../training/accumulate-graph';
import type { TrainingSequence } from '../training/pack';
import type { Algorithm } from './algorithm';
import { usableGroups } from './comparable-groups';
import { DropCount } from './drops';
import { filled, needed } from './policy-batch';
import { returnOf, sampledTokens, type Episode, type Sample } from './samples';

const SLOPE = 'slope';

/**
 * Direct preference optimization on pairs of what the policy itself wrote: of each task, the episode that earned most is preferred to the one that earned least.
 * Rafailov et al. 2023, arXiv:2305.18290; β = 0.1 is theirs. The reference is the champion.
 *
 * A pair's loss joins two sequences, which need not lie in one micro-batch: before each step their log-probabilities are computed, and the loss is then
 * Σ ∂loss/∂(Σ log π)·log π, whose gradient there is that of the loss.
 */
export function dpo({ beta, labelSmoothing, pairsPerTask }: ConfigOf<'dpo'>): Algorithm {
  return {
    loss: slopeLoss,
    needs: new Set(['reference' as const]),
    batch(groups, scoresOf, state) {
      const drops = new DropCount();
      const compared = { zeroVariance: 'drop' as const };
      const usable = usableGroups(groups, { maxAge: Infinity, compared }, drops);
      const pairs = usable.flatMap(({ episodes }) => pairsOf(episodes, pairsPerTask));
      const samples = pairs.flat();
      const references = samples.map((sample) =>
        sumOver(sample, needed(scoresOf(sample).reference, 'reference')),
      );
      const sequences = samples.map(({ tokens, mask }): TrainingSequence => {
        const weights = filled(tokens.length, () => 1);
        return { tokens, mask, inputs: { weights, [SLOPE]: filled(tokens.length, () => 0) } };
      });
      return {
        batch: {
          sequences,
          units: pairs.map((_, i) => [2 * i, 2 * i + 1]),
          denominatorPerSequence: 0.5, // one per pair
          atStep(indices, logProbs) {
            const sums = { loss: 0, margin: 0, accuracy: 0 };
            const inputs: Record<string, ArrayLike<number>>[] = [];
            for (let i = 0; i < indices.length; i += 2) {
              const [chosen, rejected] = [indices[i] as number, indices[i + 1] as number];
              const total = (index: number, k: number): number =>
                sumOver(samples[index] as Sample, logProbs[k] as ArrayLike<number>);
              const pair = {
                chosen: total(chosen, i),
                rejected: total(rejected, i + 1),
                referenceChosen: references[chosen] as number,
                referenceRejected: references[rejected] as number,
              };
              const { loss, weight, margin } = preferenceLoss(pair, { beta, labelSmoothing });
              sums.loss += loss;
              sums.margin += margin;
              sums.accuracy += margin > 0 ? 1 : 0;
              for (const [index, slope] of [
                [chosen, weight],
                [rejected, -weight],
              ] as const) {
                const { length } = (samples[index] as Sample).tokens;
                inputs.push({ [SLOPE]: filled(length, () => slope) });
              }
            }
            return { inputs, sums };
          },
          drops: drops.counts(),
          metrics: { pairs: pairs.length },
        },
        state,
      };
    },
  };
}

/** slope·log π: a line that touches the loss where the step begins. */
const slopeLoss: TokenLoss = {
  inputs: ['weights', SLOPE],
  build: (b, { logProbs, inputs }) => ({ perToken: b.mul(inputs[SLOPE] as Node, logProbs) }),
};

/** [better, worse] by what was earned: the first against the last, the second against the last but one, … */
function pairsOf(episodes: readonly Episode[], most: number): (readonly [Sample, Sample])[] {
  const ranked = episodes
    .flatMap((episode) => {
      const last = episode.samples.at(-1);
      return last === undefined || last.isTruncated || sampledTokens(last) === 0
        ? []
        : [{ sample: last, earned: returnOf(episode) }];
    })
    .sort((a, b) => b.earned - a.earned);
  const pairs: (readonly [Sample, Sample])[] = [];
  for (let i = 0; i < Math.min(most, Math.floor(ranked.length / 2)); i++) {
    const [better, worse] = [ranked[i], ranked[ranked.length - 1 - i]];
    if (better === undefined || worse === undefined || better.earned <= worse.earned) break;
    pairs.push([better.sample, worse.sample]);
  }
  return pairs;
}

function sumOver({ mask }: Sample, values: ArrayLike<number>): number {
  let sum = 0;
  for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) sum += values[t] as number;
  return sum;
}

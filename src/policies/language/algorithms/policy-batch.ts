import type { PolicyObjective } from '../../../schemas/language-train-config';
import type { TrainingSequence } from '../training/pack';
import type { AlgorithmBatch, SampleScores } from './algorithm';
import type { DropCount } from './drops';
import { ADVANTAGES, BEHAVIOR, CORRECTION, REFERENCE, SEQUENCES } from './policy-loss';
import { sampledTokens, type Sample } from './samples';

/** A sample with what each of its tokens is worth. */
export interface ValuedSample {
  readonly sample: Sample;
  /** Â per token; read where the mask is 1. */
  readonly advantages: ArrayLike<number>;
  /** Further inputs of the loss, per token. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
}

/** Sequences for a policy loss, weighted as the objective aggregates. */
export function policyBatch(
  valued: readonly ValuedSample[],
  objective: PolicyObjective,
  scoresOf: (sample: Sample) => SampleScores,
  drops: DropCount,
): Pick<AlgorithmBatch, 'sequences' | 'denominatorPerSequence'> {
  const { aggregation, correction, truncated, kl, ratio } = objective;
  const sequences: TrainingSequence[] = [];
  for (const { sample, advantages, inputs } of valued) {
    const { tokens, mask, logProbs, isTruncated } = sample;
    const count = sampledTokens(sample);
    if (count === 0) continue;
    if (isTruncated && truncated === 'mask') {
      drops.add('truncated');
      continue;
    }
    const scores = scoresOf(sample);
    const behavior = correction === null ? logProbs : needed(scores.current, 'current');
    const range = correction?.sequenceRange ?? null;
    if (range !== null) {
      const [low, high] = range;
      const product = Math.exp(sumOf(mask, (t) => at(behavior, t) - at(logProbs, t)));
      if (!(product >= low && product <= high)) {
        drops.add('off-policy');
        continue;
      }
    }
    const weight = aggregation === 'sequence-mean' ? 1 / count : 1;
    sequences.push({
      ...{ tokens, mask },
      inputs: {
        weights: filled(tokens.length, () => weight),
        [ADVANTAGES]: advantages,
        [BEHAVIOR]: behavior,
        ...(kl > 0 && { [REFERENCE]: needed(scores.reference, 'reference') }),
        ...(correction !== null && {
          [CORRECTION]: filled(tokens.length, (t) =>
            Math.min(Math.exp(at(behavior, t) - at(logProbs, t)), correction.tokenCap),
          ),
        }),
        // 0 is what padding has.
        ...(ratio === 'sequence' && {
          [SEQUENCES]: filled(tokens.length, () => sequences.length + 1),
        }),
        ...inputs,
      },
    });
  }
  const isConstant = typeof aggregation === 'object';
  return { sequences, denominatorPerSequence: isConstant ? aggregation.constant : null };
}

/** Which scores a policy batch reads. */
export function scoresNeeded({ kl, correction }: PolicyObjective): Set<keyof SampleScores> {
  return new Set<keyof SampleScores>([
    ...(kl > 0 ? (['reference'] as const) : []),
    ...(correction === null ? [] : (['current'] as const)),
  ]);
}

/** Scores that an algorithm said it needs; a caller that has none has a bug. */
export function needed(
  scores: ArrayLike<number> | undefined,
  name: keyof SampleScores,
): ArrayLike<number> {
  if (scores === undefined) throw new TypeError(`a sample came without its ${name} scores`);
  return scores;
}

export function filled(length: number, value: (t: number) => number): Float64Array {
  return Float64Array.from({ length }, (_, t) => value(t));
}

const at = (values: ArrayLike<number>, t: number): number => values[t] as number;

function sumOf(mask: ArrayLike<number>, value: (t: number) => number): number {
  let sum = 0;
  for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) sum += value(t);
  return sum;
}

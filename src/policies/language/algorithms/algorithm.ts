import type { Shape } from '../../../autodiff/graph';
import type { LanguageConfig } from '../language-config';
import type { TokenLoss } from '../training/accumulate-graph';
import type { TrainingSequence } from '../training/pack';
import type { EpisodeGroup, Sample } from './samples';

/** What a model says of a sample's tokens. Each as long as the sample; read where its mask is 1. */
export interface SampleScores {
  /** log π by the policy that is trained, before the iteration's first step. */
  readonly current?: ArrayLike<number>;
  /** log π by the champion. */
  readonly reference?: ArrayLike<number>;
  /** V before each token, by the policy's value head. */
  readonly values?: ArrayLike<number>;
}

/** Why something that was collected is not trained on. */
export type TrainingDrop =
  /** Sampled by a checkpoint that is too old. */
  | 'stale'
  /** All of a group earned the same. */
  | 'zero-variance'
  /** A group of one has nothing to be compared with. */
  | 'group-of-one'
  /** Cut off before its end. */
  | 'truncated'
  /** The trainer finds its tokens far more, or far less, probable than the sampler did. */
  | 'off-policy'
  /** The policy was never asked, or wrote nothing. */
  | 'no-samples'
  /** Longer than the model can look at. */
  | 'too-long';

/** A batch of which each optimizer step takes a part. */
export interface AlgorithmBatch {
  readonly sequences: readonly TrainingSequence[];
  /** Sequences that have to be in one optimizer step together, as indices. @default each by itself */
  readonly units?: readonly (readonly number[])[];
  /** What the loss of a step is divided by, per sequence of it; null: by the weight of its tokens. */
  readonly denominatorPerSequence: number | null;
  /**
   * Where a loss needs more than one sequence at a time: loss inputs by sequence, from what the policy says of them just before the step. The gradient
   * is that of the whole loss at this point.
   *
   * @param logProbs of each of the step's sequences, [tokens].
   */
  readonly atStep?: (
    indices: readonly number[],
    logProbs: readonly ArrayLike<number>[],
  ) => {
    readonly inputs: readonly Readonly<Record<string, ArrayLike<number>>>[];
    readonly sums: Readonly<Record<string, number>>;
  };
  /** Samples or episodes that were left out, by reason. */
  readonly drops: Readonly<Partial<Record<TrainingDrop, number>>>;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What an algorithm keeps from one iteration to the next. */
export interface AlgorithmState {
  /** Running mean of the rewards; null before the first. */
  readonly baseline: number | null;
}
export const INITIAL_STATE: AlgorithmState = { baseline: null };

/** From what episodes earned to what a model is trained on. */
export interface Algorithm {
  readonly loss: TokenLoss;
  /** Which scores `batch` reads. */
  readonly needs: ReadonlySet<keyof SampleScores>;
  /** Parameters beside the model's, with their first values. */
  readonly extraParameters?: (config: LanguageConfig) => Readonly<Record<string, Shape>>;
  /** @param scoresOf of each sample of the groups. */
  batch(
    groups: readonly EpisodeGroup[],
    scoresOf: (sample: Sample) => SampleScores,
    state: AlgorithmState,
  ): { readonly batch: AlgorithmBatch; readonly state: AlgorithmState };
}

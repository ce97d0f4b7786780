import type { LanguageConfig } from '../../src/policies/language/language-config';
import type { TrainingSequence } from '../../src/policies/language/training/pack';
import { stream } from '../../src/rl/counter-rng';

/** A size to measure: a Llama with tied embeddings of 2,048 tokens, and a feed-forward layer of 8/3 of its width. */
export interface Size {
  readonly name: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
}

export const SIZES: readonly Size[] = [
  { name: '1.1M', width: 128, layers: 4, heads: 4 },
  { name: '6.4M', width: 256, layers: 6, heads: 4 },
  { name: '25M', width: 512, layers: 8, heads: 8 },
];

export const TOKENS = 4096;
const VOCABULARY = 2048;
const MAX_POSITIONS = 1024;

export function configOf({ width, layers, heads }: Size): LanguageConfig {
  return {
    modelType: 'llama',
    vocabSize: VOCABULARY,
    hiddenSize: width,
    intermediateSize: Math.round((8 * width) / 3 / 32) * 32,
    ...{ layers, heads, kvHeads: heads, headDim: width / heads },
    maxPositions: MAX_POSITIONS,
    rmsNormEps: 1e-6,
    ropeTheta: 10000,
    ropeScaling: { type: 'none' },
    tieEmbeddings: true,
    ...{ qkvBias: false, outputBias: false, mlpBias: false, qkNorm: false },
  };
}

/** Which 4,096 tokens: `even`, all of them trained on, is the worst case for packing and for leaving out logits. */
export type Mix = 'even' | 'mixed';

/** 32 sequences of 128 tokens; or 32 to 288 tokens each, of which the second half is trained on, as in fine-tuning. */
export function lengthsOf(mix: Mix): number[] {
  if (mix === 'even') return Array.from({ length: TOKENS / 128 }, () => 128);
  const random = stream({ seed: 1, purpose: 'bench.train-step', task: 'lengths' });
  const lengths: number[] = [];
  for (let left = TOKENS; left > 0; left -= lengths.at(-1) as number) {
    const length = 32 + random.below(257);
    lengths.push(left - length < 32 ? left : length);
  }
  return lengths;
}

export function batchOf(mix: Mix): TrainingSequence[] {
  const random = stream({ seed: 1, purpose: 'bench.train-step', task: 'tokens' });
  return lengthsOf(mix).map((length) => {
    const prompt = mix === 'even' ? 0 : length / 2;
    const tokens = Array.from({ length }, () => random.below(VOCABULARY));
    return { tokens, mask: tokens.map((_, t) => Number(t >= prompt)) };
  });
}

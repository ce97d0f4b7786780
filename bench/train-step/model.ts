import type { LanguageConfig } from '../../src/policies/language/language-config';
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

/** The same model for transformers. */
export function settingsOf(config: LanguageConfig): Record<string, unknown> {
  return {
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    tie_word_embeddings: config.tieEmbeddings,
  };
}

export interface Batch {
  readonly sequences: number[][];
  readonly trained: number[][];
}

/** 32 sequences of 128 tokens, all of them trained on: the worst case for packing and for leaving out logits. */
export function even(): Batch {
  return batchOf(Array.from({ length: TOKENS / 128 }, () => [128, 0]));
}

/** 4,096 tokens in sequences of 32 to 288, each one half prompt and half answer: what fine-tuning looks like. */
export function mixed(): Batch {
  const random = stream({ seed: 1, purpose: 'bench.train-step', task: 'lengths' });
  const lengths: number[][] = [];
  for (let left = TOKENS; left > 0;) {
    const length = Math.min(left, 32 + random.below(257));
    lengths.push([Math.max(2, length), Math.floor(length / 2)]);
    left -= length;
  }
  return batchOf(lengths);
}

function batchOf(lengths: readonly (readonly number[])[]): Batch {
  const random = stream({ seed: 1, purpose: 'bench.train-step', task: 'tokens' });
  return {
    sequences: lengths.map(([length = 0]) =>
      Array.from({ length }, () => random.below(VOCABULARY)),
    ),
    trained: lengths.map(([length = 0, prompt = 0]) =>
      Array.from({ length }, (_, t) => Number(t >= prompt)),
    ),
  };
}

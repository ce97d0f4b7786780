import { InvalidInputError } from '../../src/errors';
import type { LanguageConfig } from '../../src/policies/language/language-config';

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

export const VOCABULARY = 2048;
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

export function sizeOf(name: string): Size {
  const size = SIZES.find((one) => one.name === name);
  if (size !== undefined) return size;
  throw new InvalidInputError(`a size: expected ${SIZES.map((one) => one.name).join(', ')}`, {
    context: { got: name },
  });
}

/** The model of a size, as transformers_reference.py is told of it. */
export function theirModel(size: Size): Record<string, number> {
  const config = configOf(size);
  return {
    hidden: config.hiddenSize,
    layers: config.layers,
    heads: config.heads,
    kvHeads: config.kvHeads,
    intermediate: config.intermediateSize,
    vocab: config.vocabSize,
  };
}

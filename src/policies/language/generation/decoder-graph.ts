import { fold } from '../../../autodiff/fold';
import type { Graph, Node } from '../../../autodiff/graph';
import { GraphBuilder } from '../../../autodiff/graph-builder';
import { cachedAttention, cacheMask } from '../../../nn/cached-attention';
import type { LanguageConfig } from '../language-config';
import { hiddenStates } from '../network';
import { EMBEDDING, OUTPUT_EMBEDDING, parameterShapes } from '../parameters';

/** The sizes that a graph is built for. */
export interface DecoderShape {
  readonly rows: number;
  /** New tokens of each row. */
  readonly length: number;
  /** Positions of the cache; 0 where nothing comes before the tokens. */
  readonly capacity: number;
}

export const COS = 'rope.cos';
export const SIN = 'rope.sin';

/** The inputs `cache.*`, [rows, kvHeads, capacity, headDim], and the outputs `new.*`, [rows, kvHeads, length, headDim]. */
export const cacheName = (layer: number, which: 'k' | 'v'): string => `cache.${layer}.${which}`;
export const newName = (layer: number, which: 'k' | 'v'): string => `new.${layer}.${which}`;

/**
 * New tokens of several sequences, one per row, through the network.
 *
 * inputs   each parameter; the rotary tables `rope.cos`, `rope.sin` [positions, headDim/2]; `tokens`, `positions` int64 [rows, length];
 *          `last` int64 [rows]: where in the batch, row by row, the token stands whose successor is asked for (not where length is 1);
 *          with a cache, `lengths` int64 [rows]: how much of each row's is filled; and `cache.<layer>.k`, `cache.<layer>.v`
 * outputs  `logits` [rows, vocabSize]; `normalizers` [rows, 1]: ln Σ exp(logits); `new.<layer>.k`, `new.<layer>.v`: what is to be put behind the cache
 *
 * What stands behind `last` in a row is padding: nothing before it looks at it, and its keys and values are nobody's.
 */
export function buildDecoderGraph(
  config: LanguageConfig,
  { rows, length, capacity }: DecoderShape,
  ropePositions: number,
): Graph {
  const b = new GraphBuilder();
  const parameters = Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => [name, b.input(name, shape)]),
  );
  const table = (name: string): Node => b.input(name, [ropePositions, config.headDim / 2]);
  const rope = { cos: table(COS), sin: table(SIN) };
  const tokens = b.input('tokens', [rows, length], 'int64');
  const positions = b.input('positions', [rows, length], 'int64');
  const mask = capacity === 0 ? null : cacheMask(b, b.input('lengths', [rows], 'int64'), capacity);
  const cached = (layer: number, which: 'k' | 'v'): Node =>
    b.input(cacheName(layer, which), [rows, config.kvHeads, capacity, config.headDim]);

  const outputs: Record<string, Node> = {};
  const hidden = hiddenStates(
    b,
    config,
    parameters,
    { tokens, positions },
    rope,
    (layer, q, k, v) => {
      outputs[newName(layer, 'k')] = k;
      outputs[newName(layer, 'v')] = v;
      const cache = mask && { k: cached(layer, 'k'), v: cached(layer, 'v'), mask };
      return cachedAttention(b, q, k, v, cache);
    },
  );
  const last = length === 1 ? hidden : b.gather(hidden, b.input('last', [rows], 'int64'));
  const output = parameters[config.tieEmbeddings ? EMBEDDING : OUTPUT_EMBEDDING] as Node;
  const logits = b.gemm(last, output, { transB: true });
  const largest = b.reduceMax(logits, [1]); // [rows, 1]
  const normalizers = b.add(largest, b.log(b.reduceSum(b.exp(b.sub(logits, largest)), [1])));
  return fold(b.build({ logits, normalizers, ...outputs }));
}

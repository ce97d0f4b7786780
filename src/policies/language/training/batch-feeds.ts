import type { Shape } from '../../../autodiff/graph';
import type { Tensor } from '../../../ports/tensor-runtime';
import { DROPOUT_MODULUS } from '../../../nn/counted-dropout';
import { stream, type RandomStream } from '../../../rl/counter-rng';
import { DROPOUT_KEYS } from './accumulate-graph';
import type { MicroBatch } from './pack';

/** What a session of buildAccumulateGraph is fed with. @param dropout where its model leaves values out: what is drawn from. */
export function feedsOf(
  batch: MicroBatch,
  denominator: number,
  dropout?: DropoutCount,
): Record<string, Tensor> {
  const { rows, length, targets } = batch;
  const index = (shape: Shape, data: BigInt64Array): Tensor => ({ dtype: 'int64', shape, data });
  return {
    tokens: index([rows, length], batch.tokens),
    positions: index([rows, length], batch.positions),
    segments: index([rows, length], batch.segments),
    at: index([targets], batch.at),
    targets: index([targets], batch.targetTokens),
    denominator: scalar(denominator),
    ...(dropout && { [DROPOUT_KEYS]: index([rows * length, 1], dropoutKeys(batch, dropout)) }),
    ...Object.fromEntries(
      Object.entries(batch.inputs).map(([name, data]) => [
        name,
        { dtype: 'float32', shape: [targets], data },
      ]),
    ),
  };
}

/** What decides which values a step leaves out. */
export interface DropoutCount {
  readonly seed: number;
  /** Optimizer steps before this one, over the whole training. */
  readonly step: number;
}

/**
 * A number for each token, [rows · length], which depends on its sequence and its place in that alone: however sequences are packed, the same
 * values are left out.
 */
function dropoutKeys(batch: MicroBatch, { seed, step }: DropoutCount): BigInt64Array {
  const { rows, length, positions, segments, sequences } = batch;
  const keys = new BigInt64Array(rows * length);
  for (let row = 0; row < rows; row++) {
    let random: RandomStream | null = null;
    for (let t = 0; t < length; t++) {
      const at = row * length + t;
      const segment = Number(segments[at]);
      if (segment === 0) break; // padding, to the row's end
      if (positions[at] === 0n) {
        const member = sequences[row]?.[segment - 1] ?? 0;
        random = stream({ seed, purpose: 'language.dropout', iteration: step, member });
      }
      keys[at] = BigInt(random?.below(DROPOUT_MODULUS) ?? 0);
    }
  }
  return keys;
}

/** float32 of rank 0. */
export function scalar(value: number): Tensor {
  return { dtype: 'float32', shape: [], data: Float32Array.of(value) };
}

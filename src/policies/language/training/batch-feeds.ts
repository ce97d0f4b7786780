import type { Shape } from '../../../autodiff/graph';
import type { Tensor } from '../../../ports/tensor-runtime';
import type { MicroBatch } from './pack';

/** What a session of buildAccumulateGraph is fed with. */
export function feedsOf(batch: MicroBatch, denominator: number): Record<string, Tensor> {
  const { rows, length, targets } = batch;
  const index = (shape: Shape, data: BigInt64Array): Tensor => ({ dtype: 'int64', shape, data });
  return {
    tokens: index([rows, length], batch.tokens),
    positions: index([rows, length], batch.positions),
    segments: index([rows, length], batch.segments),
    at: index([targets], batch.at),
    targets: index([targets], batch.targetTokens),
    denominator: scalar(denominator),
    ...Object.fromEntries(
      Object.entries(batch.inputs).map(([name, data]) => [
        name,
        { dtype: 'float32', shape: [targets], data },
      ]),
    ),
  };
}

/** float32 of rank 0. */
export function scalar(value: number): Tensor {
  return { dtype: 'float32', shape: [], data: Float32Array.of(value) };
}

import { createInThreadRuntime } from '../src/adapters/ort/in-thread-runtime';
import { sizeOf } from '../src/autodiff/graph';
import { crossEntropy } from '../src/losses/cross-entropy';
import { weightedMean } from '../src/losses/weighted-mean';
import { embeddingBag } from '../src/nn/embedding-bag';
import { gelu } from '../src/nn/gelu';
import { linear } from '../src/nn/linear';
import { emitModel } from '../src/onnx/emit';
import { buildTrainStep } from '../src/optim/train-step';
import type { Tensor } from '../src/ports/tensor-runtime';
import { stream } from '../src/rl/counter-rng';

const [BATCH, ROWS, EMBEDDING, HIDDEN, ARMS] = [64, 2048, 128, 256, 151];
const WARM_UP = 5;
const STEPS = 40;

/**
 * One training step at the size of a choice policy: 64 texts over 2,048 embedding rows, 128 → 256 → 151 arms, forward,
 * backward and Adam in one graph, 2 threads.
 *
 * @returns milliseconds to build and emit the graph, to load it, and per step (median); the model's size; GFLOP/s of the
 *   matrix products.
 */
export async function run(): Promise<Record<string, number>> {
  const started = performance.now();
  const step = buildTrainStep({
    params: {
      rows: [ROWS, EMBEDDING],
      'hidden.weight': [HIDDEN, EMBEDDING],
      'hidden.bias': [HIDDEN],
      'output.weight': [ARMS, HIDDEN],
      'output.bias': [ARMS],
    },
    batchInputs: {
      bag: { shape: [BATCH, ROWS] },
      targets: { shape: [BATCH, ARMS] },
      weights: { shape: [BATCH] },
    },
    loss: (b, p, { bag, targets, weights }) => {
      const hidden = gelu(
        b,
        linear(b, embeddingBag(b, bag, p.rows), p['hidden.weight'], p['hidden.bias']),
      );
      const logProbs = b.logSoftmax(linear(b, hidden, p['output.weight'], p['output.bias']));
      return { loss: weightedMean(b, crossEntropy(b, logProbs, targets), weights) };
    },
  });
  const model = emitModel(step.graph);
  const emitted = performance.now();
  const runtime = createInThreadRuntime({ threads: 2 });
  try {
    const session = await runtime.load(model);
    const loaded = performance.now();

    const random = stream({ seed: 1, purpose: 'bench' });
    const tensor = (shape: readonly number[], value: () => number): Tensor => ({
      dtype: 'float32',
      shape,
      data: Float32Array.from({ length: sizeOf(shape) }, value),
    });
    const feeds: Record<string, Tensor> = {
      step: { dtype: 'int64', shape: [], data: BigInt64Array.of(0n) },
      learningRate: tensor([], () => 1e-3),
      bag: tensor([BATCH, ROWS], () => (random.next() < 0.02 ? 0.15 : 0)),
      targets: tensor([BATCH, ARMS], () => 1 / ARMS),
      weights: tensor([BATCH], () => 1),
    };
    const states = Object.values(step.state).flatMap(({ value, m, v }) => [value, m, v]);
    for (const { value, m, v } of Object.values(step.state)) {
      feeds[value.input] = tensor(value.shape, () => (random.next() - 0.5) * 0.2);
      for (const moment of [m, v]) feeds[moment.input] = tensor(moment.shape, () => 0);
    }
    const times: number[] = [];
    for (let i = 0; i < WARM_UP + STEPS; i += 1) {
      const before = performance.now();
      const outputs = await session.run(feeds);
      for (const { input, output } of states) feeds[input] = outputs[output] as Tensor;
      feeds['step'] = outputs['next.step'] as Tensor;
      if (i >= WARM_UP) times.push(performance.now() - before);
    }
    const stepMs = times.sort((a, b) => a - b)[STEPS >> 1] as number;
    // Each product runs once forward and twice backward; the bag itself needs no gradient.
    const multiplications =
      BATCH * (2 * ROWS * EMBEDDING + 3 * EMBEDDING * HIDDEN + 3 * HIDDEN * ARMS);
    return {
      emitMs: emitted - started,
      loadMs: loaded - emitted,
      stepMs,
      modelBytes: model.byteLength,
      gigaflopsPerSecond: (2 * multiplications) / stepMs / 1e6,
    };
  } finally {
    await runtime.close();
  }
}

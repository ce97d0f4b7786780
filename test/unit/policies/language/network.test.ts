/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../../../src/adapters/ort/in-thread-runtime';
import { createInThreadWorkspace } from '../../../../src/adapters/ort/in-thread-workspace';
import { GraphBuilder } from '../../../../src/autodiff/graph-builder';
import type { Shape } from '../../../../src/autodiff/graph';
import { emitModel } from '../../../../src/onnx/emit';
import { hiddenStates } from '../../../../src/policies/language/network';
import {
  EMBEDDING,
  OUTPUT_EMBEDDING,
  parameterShapes,
} from '../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../src/policies/language/rope';
import { createStepper, type Stepper } from '../../../../src/policies/language/training/stepper';
import { supervised } from '../../../../src/policies/language/training/supervised';
import type { Tensor } from '../../../../src/ports/tensor-runtime';
import {
  GOLDEN_MODELS,
  goldenModel,
  goldenSequences,
  largestDifference,
  valuesOf,
  type GoldenModel,
} from '../../../helpers/golden-models';

// Goldens of PyTorch, computed in float64 (test/goldens/language/make_goldens.py).

const runtime = createInThreadRuntime({ threads: 1 });
afterAll(() => runtime.close());

async function logitsOf(model: GoldenModel): Promise<Float32Array> {
  const { config, weights } = model;
  const sequences = goldenSequences(model);
  const [rows, length] = [sequences.length, sequences[0]?.tokens.length as number];
  const b = new GraphBuilder();
  const shapes = parameterShapes(config);
  const parameters = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      b.constant(weights[name] as Float32Array, shape),
    ]),
  );
  const index = (name: string): ReturnType<GraphBuilder['input']> =>
    b.input(name, [rows, length], 'int64');
  const half = config.headDim / 2;
  const { cos, sin } = rotaryTables(config, length);
  const hidden = hiddenStates(
    b,
    config,
    parameters,
    { tokens: index('tokens'), positions: index('positions'), segments: index('segments') },
    { cos: b.constant(cos, [length, half]), sin: b.constant(sin, [length, half]) },
  );
  const output = parameters[config.tieEmbeddings ? EMBEDDING : OUTPUT_EMBEDDING];
  const graph = b.build({
    logits: b.gemm(hidden, output as NonNullable<typeof output>, { transB: true }),
  });
  const session = await runtime.load(emitModel(graph));
  const int64 = (values: number[]): Tensor => ({
    dtype: 'int64',
    shape: [rows, length],
    data: BigInt64Array.from(values, BigInt),
  });
  const { logits } = await session.run({
    tokens: int64(sequences.flatMap(({ tokens }) => tokens)),
    positions: int64(sequences.flatMap(({ tokens }) => [...tokens.keys()])),
    segments: int64(sequences.flatMap(({ tokens }) => tokens.map(() => 0))),
  });
  return logits?.data as Float32Array;
}

function stepperFor(
  { config, golden }: GoldenModel,
  { workspaces = 1, tokensPerMicroBatch = 64 } = {},
): Stepper {
  const { beta1, beta2, epsilon, weightDecay, maxGradNorm, decayed } = golden.adamw;
  return createStepper(
    Array.from({ length: workspaces }, () => createInThreadWorkspace({ threads: 1 })),
    {
      model: { config, trainable: parameterShapes(config) },
      rope: rotaryTables(config, config.maxPositions),
      loss: supervised,
      optimizer: { beta1, beta2, epsilon, weightDecay, maxGradNorm, decayed: new Set(decayed) },
      tokensPerMicroBatch,
    },
  );
}

const copyOf = (weights: Readonly<Record<string, Float32Array>>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, values.slice()]));

describe.each(GOLDEN_MODELS)('%s', (name) => {
  const model = goldenModel(name);

  test('the parameters are those of its files', () => {
    const shapes: Record<string, Shape> = parameterShapes(model.config);
    expect(Object.keys(shapes).sort()).toEqual(Object.keys(model.weights).sort());
  });

  test('logits are those of transformers', async () => {
    expect(largestDifference(await logitsOf(model), valuesOf(model, 'logits'))).toBeLessThan(1e-4);
  });

  test('20 steps of AdamW have the losses that they have in PyTorch', async () => {
    const stepper = stepperFor(model);
    await stepper.load(copyOf(model.weights));
    const sequences = goldenSequences(model);
    const { learningRate, losses } = model.golden.adamw;
    const got: number[] = [];
    while (got.length < losses.length) {
      const metrics = await stepper.step(sequences, { learningRate });
      got.push(metrics.loss);
      if (got.length === 1) expect(metrics.gradNorm).toBeCloseTo(model.golden.gradNorm, 3);
    }
    await stepper.close();
    expect(largestDifference(got, losses)).toBeLessThan(1e-4);
  });
});

/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../../../src/adapters/ort/in-thread-runtime';
import { createInThreadWorkspace } from '../../../../src/adapters/ort/in-thread-workspace';
import type { Shape } from '../../../../src/autodiff/graph';
import { parameterShapes } from '../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../src/policies/language/rope';
import {
  createTrainingSteps,
  type TrainingSteps,
} from '../../../../src/policies/language/training/training-steps';
import { supervised } from '../../../../src/policies/language/training/supervised';
import {
  GOLDEN_MODELS,
  goldenModel,
  goldenSequences,
  largestDifference,
  valuesOf,
  type GoldenModel,
} from '../../../helpers/golden-models';
import { languageLogits } from '../../../helpers/language-logits';

// Goldens of PyTorch, computed in float64 (test/goldens/language/make_goldens.py).

const runtime = createInThreadRuntime({ threads: 1 });
afterAll(() => runtime.close());

async function logitsOf({ config, weights, ...model }: GoldenModel): Promise<Float32Array> {
  const sequences = goldenSequences({ config, weights, ...model });
  return languageLogits(
    runtime,
    config,
    weights,
    sequences.map(({ tokens }) => tokens),
  );
}

function stepperFor(
  { config, golden }: GoldenModel,
  { workspaces = 1, tokensPerMicroBatch = 64 } = {},
): TrainingSteps {
  const { beta1, beta2, epsilon, weightDecay, maxGradNorm, decayed } = golden.adamw;
  return createTrainingSteps(
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
      const metrics = await stepper.optimizerStep(sequences, { learningRate });
      got.push(metrics.loss);
      if (got.length === 1) expect(metrics.gradNorm).toBeCloseTo(model.golden.gradNorm, 3);
    }
    await stepper.close();
    expect(largestDifference(got, losses)).toBeLessThan(1e-4);
  });
});

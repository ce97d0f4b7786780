/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadWorkspace } from '../../../../src/adapters/ort/in-thread-workspace';
import { sizeOf, type Shape } from '../../../../src/autodiff/graph';
import { InvalidInputError } from '../../../../src/errors';
import { emitModel } from '../../../../src/onnx/emit';
import { GRADIENT } from '../../../../src/optim/update-graph';
import { decayedParameters, parameterShapes } from '../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../src/policies/language/rope';
import { buildAccumulateGraph } from '../../../../src/policies/language/training/accumulate-graph';
import { feedsOf } from '../../../../src/policies/language/training/batch-feeds';
import {
  packSequences,
  type TrainingSequence,
} from '../../../../src/policies/language/training/pack';
import {
  createTrainingSteps,
  type OptimizerValues,
  type TrainingSteps,
} from '../../../../src/policies/language/training/training-steps';
import { supervised } from '../../../../src/policies/language/training/supervised';
import { stream } from '../../../../src/rl/counter-rng';
import {
  GOLDEN_MODELS,
  goldenModel,
  goldenSequences,
  largestDifference,
  valuesOf,
  type GoldenModel,
} from '../../../helpers/golden-models';

type Values = Record<string, Float32Array>;

const copyOf = (values: Readonly<Values>): Values =>
  Object.fromEntries(Object.entries(values).map(([name, data]) => [name, data.slice()]));

/** Gradients of the mean loss over all trained tokens, with a given size of micro-batches. */
async function gradientsOf(
  { config, weights }: GoldenModel,
  sequences: readonly TrainingSequence[],
  tokensPerMicroBatch = 1024,
): Promise<Values> {
  const shapes = parameterShapes(config);
  const workspace = createInThreadWorkspace({ threads: 1 });
  await workspace.write(
    Object.fromEntries(
      Object.entries(shapes).flatMap(([name, shape]: [string, Shape]) => [
        [name, { dtype: 'float32' as const, shape, data: (weights[name] as Float32Array).slice() }],
        [
          name + GRADIENT,
          { dtype: 'float32' as const, shape, data: new Float32Array(sizeOf(shape)) },
        ],
      ]),
    ),
  );
  const batches = packSequences(sequences, { tokensPerMicroBatch });
  const trained = batches.reduce((sum, batch) => sum + batch.trained, 0);
  for (const batch of batches) {
    const graph = buildAccumulateGraph({
      model: { config, trainable: shapes },
      shape: batch,
      rope: rotaryTables(config, config.maxPositions),
      loss: supervised,
    });
    const session = await workspace.load(emitModel(graph));
    await session.run(feedsOf(batch, trained));
  }
  const read = await workspace.read(Object.keys(shapes).map((name) => name + GRADIENT));
  await workspace.close();
  return Object.fromEntries(
    Object.keys(shapes).map((name) => [name, read[name + GRADIENT]?.data as Float32Array]),
  );
}

/** The largest difference of any parameter's gradient, over the length of the reference's. */
function relativeDifference(a: Values, b: Values): number {
  return Math.max(
    ...Object.entries(b).map(([name, reference]) => {
      const length = Math.sqrt(reference.reduce((sum, x) => sum + x * x, 0));
      return largestDifference(a[name] as Float32Array, reference) / Math.max(length, 1e-6);
    }),
  );
}

function trainedTokens({ mask }: TrainingSequence): number {
  return Array.from(mask).filter((isTrained, t) => isTrained === 1 && t > 0).length;
}

/** Sequences of 2 to 30 tokens, of which the second half is trained on. */
function randomSequences(n: number, vocabulary: number): TrainingSequence[] {
  const random = stream({ seed: 3, purpose: 'test.sequences' });
  return Array.from({ length: n }, () => {
    const length = 2 + random.below(29);
    const tokens = Array.from({ length }, () => random.below(vocabulary));
    return { tokens, mask: tokens.map((_, t) => Number(t >= length / 2)) };
  });
}

test.each(GOLDEN_MODELS)('%s: the gradient of every parameter is PyTorch’s', async (name) => {
  const model = goldenModel(name);
  const got = await gradientsOf(model, goldenSequences(model));
  const expected = Object.fromEntries(
    Object.keys(got).map((parameter) => [parameter, valuesOf(model, `grad.${parameter}`)]),
  );
  expect(relativeDifference(got, expected)).toBeLessThan(1e-4);
});

describe('what does not change the gradient', () => {
  const model = goldenModel('llama3'); // grouped-query attention, tied embeddings
  const sequences = randomSequences(12, model.config.vocabSize);
  let whole: Values;
  beforeAll(async () => {
    whole = await gradientsOf(model, sequences);
  });

  test('packing: several sequences share a row, or each is computed by itself', async () => {
    const [batch] = packSequences(sequences, { tokensPerMicroBatch: 1024 });
    expect(batch?.rows).toBeLessThan(sequences.length);
    // Each sequence's own gradient, weighted by its share of the trained tokens.
    const trained = sequences.map(trainedTokens);
    const total = trained.reduce((a, b) => a + b);
    const sum = Object.fromEntries(
      Object.entries(whole).map(([name, { length }]) => [name, new Float32Array(length)]),
    );
    for (const [i, sequence] of sequences.entries()) {
      const share = (trained[i] as number) / total;
      for (const [name, data] of Object.entries(await gradientsOf(model, [sequence]))) {
        const added = sum[name] as Float32Array;
        data.forEach((x, k) => (added[k] = (added[k] as number) + x * share));
      }
    }
    expect(relativeDifference(sum, whole)).toBeLessThan(2e-5);
  });

  test('how the batch is cut into micro-batches', async () => {
    expect(packSequences(sequences, { tokensPerMicroBatch: 48 }).length).toBeGreaterThan(3);
    expect(relativeDifference(await gradientsOf(model, sequences, 48), whole)).toBeLessThan(2e-5);
  });

  test('the order of the sequences', async () => {
    const turned = await gradientsOf(model, sequences.toReversed());
    expect(relativeDifference(turned, whole)).toBeLessThan(2e-5);
  });

  test('tokens that are only shown count for nothing themselves', async () => {
    const [first, ...rest] = sequences as [TrainingSequence, ...TrainingSequence[]];
    const shown = { tokens: first.tokens, mask: Array.from(first.tokens, () => 0) };
    const [with0, without] = [
      await gradientsOf(model, [shown, ...rest]),
      await gradientsOf(model, rest),
    ];
    expect(relativeDifference(with0, without)).toBeLessThan(2e-5);
  });
});

describe('an optimizer step', () => {
  const model = goldenModel('qwen2');
  const sequences = randomSequences(12, model.config.vocabSize);

  function stepper(workspaces: number, tokensPerMicroBatch = 48): TrainingSteps {
    const shapes = parameterShapes(model.config);
    return createTrainingSteps(
      Array.from({ length: workspaces }, () => createInThreadWorkspace({ threads: 1 })),
      {
        model: { config: model.config, trainable: shapes },
        rope: rotaryTables(model.config, model.config.maxPositions),
        loss: supervised,
        optimizer: { weightDecay: 0.1, decayed: decayedParameters(shapes), maxGradNorm: 1 },
        tokensPerMicroBatch,
      },
    );
  }
  async function train(
    one: TrainingSteps,
    steps: number,
  ): Promise<{ losses: number[]; values: Values; optimizer: OptimizerValues }> {
    const losses: number[] = [];
    for (let i = 0; i < steps; i++) {
      losses.push((await one.optimizerStep(sequences, { learningRate: 1e-3 })).loss);
    }
    return { losses, values: await one.parameters(), optimizer: await one.optimizer() };
  }

  test('two workspaces learn what one learns', async () => {
    const [one, two] = [stepper(1), stepper(2)];
    await one.load(copyOf(model.weights));
    await two.load(copyOf(model.weights));
    const [a, b] = [await train(one, 5), await train(two, 5)];
    await Promise.all([one.close(), two.close()]);
    expect(largestDifference(a.losses, b.losses)).toBeLessThan(1e-5);
    expect(a.losses.at(-1)).toBeLessThan((a.losses[0] as number) - 0.1);
  });

  test.each([1, 2])(
    'over %d workspaces, stopped and resumed ends as unbroken, to the bit',
    async (n) => {
      const unbroken = stepper(n);
      await unbroken.load(copyOf(model.weights));
      const whole = await train(unbroken, 6);
      await unbroken.close();

      const first = stepper(n);
      await first.load(copyOf(model.weights));
      const half = await train(first, 3);
      await first.close();
      const second = stepper(n);
      await second.load(half.values, half.optimizer);
      const rest = await train(second, 3);
      await second.close();
      expect(rest.losses).toEqual(whole.losses.slice(3));
      expect(rest.values).toEqual(whole.values);
      expect(rest.optimizer).toEqual(whole.optimizer);
    },
  );

  test('a batch whose loss is not finite changes nothing, and says so', async () => {
    const one = stepper(1);
    const broken = copyOf(model.weights);
    (broken['model.norm.weight'] as Float32Array)[0] = NaN;
    await one.load(copyOf(broken));
    const before = [await one.parameters(), await one.optimizer()];
    const metrics = await one.optimizerStep(sequences, { learningRate: 1e-3 });
    expect(metrics.isFinite).toBe(false);
    expect([await one.parameters(), await one.optimizer()]).toEqual(before);
    await one.close();
  });

  test('what it says of a batch is true', async () => {
    const one = stepper(1);
    await one.load(copyOf(model.weights));
    const metrics = await one.optimizerStep(sequences, { learningRate: 0 });
    await one.close();
    expect(metrics.tokens).toBe(sequences.reduce((sum, { tokens }) => sum + tokens.length, 0));
    expect(metrics.trainedTokens).toBe(
      sequences.reduce((sum, sequence) => sum + trainedTokens(sequence), 0),
    );
    expect(metrics.microBatches).toBe(packSequences(sequences, { tokensPerMicroBatch: 48 }).length);
    expect(metrics.padding).toBeGreaterThan(0);
    expect(metrics.padding).toBeLessThan(0.5);
  });

  test('a batch without anything to train on, and missing parameters, are refused', async () => {
    const one = stepper(1);
    const shown = sequences.map(({ tokens }) => ({ tokens, mask: Array.from(tokens, () => 0) }));
    await one.load(copyOf(model.weights));
    await expect(one.optimizerStep(shown, { learningRate: 1e-3 })).rejects.toThrow(
      /tokens to train on/,
    );
    const rest = Object.entries(copyOf(model.weights)).filter(
      ([name]) => name !== 'model.norm.weight',
    );
    await expect(one.load(Object.fromEntries(rest))).rejects.toThrow(InvalidInputError);
    await one.close();
  });
});

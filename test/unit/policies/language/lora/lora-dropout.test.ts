/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadWorkspace } from '../../../../../src/adapters/ort/in-thread-workspace';
import { loraLinear, loraShapes } from '../../../../../src/policies/language/lora/lora-layers';
import { parameterShapes } from '../../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../../src/policies/language/rope';
import type { DropoutCount } from '../../../../../src/policies/language/training/batch-feeds';
import type { TrainingSequence } from '../../../../../src/policies/language/training/pack';
import { supervised } from '../../../../../src/policies/language/training/supervised';
import { createTrainingSteps } from '../../../../../src/policies/language/training/training-steps';
import {
  goldenAdapter,
  goldenModel,
  goldenSequences,
  largestDifference,
} from '../../../../helpers/golden-models';

const model = goldenModel('llama3');
const { lora, weights: adapter } = goldenAdapter(model);
const sequences: TrainingSequence[] = [
  ...goldenSequences(model),
  { tokens: [5, 6, 7, 8, 9], mask: [1, 1, 1, 1, 1] },
  { tokens: [11, 12, 13], mask: [0, 1, 1] },
];

/** The adapter after one step with plain gradient descent's worth of AdamW, and the step's loss. */
async function stepped(
  dropout: number,
  count: DropoutCount | undefined,
  { tokensPerMicroBatch = 1024, given = sequences } = {},
): Promise<{ loss: number; gradNorm: number; values: number[] }> {
  const { config } = model;
  const steps = createTrainingSteps([createInThreadWorkspace({ threads: 1 })], {
    model: {
      config,
      trainable: loraShapes(config, lora),
      frozen: parameterShapes(config),
      linear: (b, parameters, keys) => loraLinear(b, parameters, { ...lora, dropout }, keys),
      hasDropout: count !== undefined,
    },
    rope: rotaryTables(config, config.maxPositions),
    loss: supervised,
    optimizer: { weightDecay: 0, decayed: new Set(), maxGradNorm: 1 },
    tokensPerMicroBatch,
  });
  const all = Object.entries({ ...model.weights, ...adapter });
  await steps.load(Object.fromEntries(all.map(([name, data]) => [name, data.slice()])));
  const { loss, gradNorm } = await steps.optimizerStep(given, {
    learningRate: 1e-3,
    ...(count && { dropout: count }),
  });
  const values = Object.values(await steps.parameters()).flatMap((data) => [...data]);
  await steps.close();
  return { loss, gradNorm, values };
}

test('a rate of 0 is no dropout, to the bit', async () => {
  expect(await stepped(0, { seed: 1, step: 0 })).toEqual(await stepped(0, undefined));
});

test('the same step again has the same bits; another step or seed has others', async () => {
  const first = await stepped(0.3, { seed: 1, step: 4 });
  expect(await stepped(0.3, { seed: 1, step: 4 })).toEqual(first);
  expect((await stepped(0.3, { seed: 1, step: 5 })).loss).not.toBe(first.loss);
  expect((await stepped(0.3, { seed: 2, step: 4 })).loss).not.toBe(first.loss);
});

test('how sequences are packed changes what is learned by rounding alone', async () => {
  const together = await stepped(0.3, { seed: 1, step: 4 });
  const apart = await stepped(0.3, { seed: 1, step: 4 }, { tokensPerMicroBatch: 16 });
  expect(apart.loss).toBeCloseTo(together.loss, 5);
  expect(apart.gradNorm).toBeCloseTo(together.gradNorm, 4);
  expect(largestDifference(apart.values, together.values)).toBeLessThan(1e-5);
});

test('over many steps the loss is about that without dropout', async () => {
  const without = await stepped(0, undefined);
  const losses: number[] = [];
  for (let step = 0; step < 30; step++) losses.push((await stepped(0.1, { seed: 3, step })).loss);
  const mean = losses.reduce((a, b) => a + b, 0) / losses.length;
  expect(Math.abs(mean - without.loss)).toBeLessThan(0.1 * without.loss);
  expect(Math.max(...losses) - Math.min(...losses)).toBeGreaterThan(0.01);
});

test('a step that is not told what to draw from is refused, and one that draws from nothing too', async () => {
  const spec = { seed: 1, step: 0 };
  const steps = createTrainingSteps([createInThreadWorkspace({ threads: 1 })], {
    model: { config: model.config, trainable: parameterShapes(model.config) },
    rope: rotaryTables(model.config, 64),
    loss: supervised,
    optimizer: { weightDecay: 0, decayed: new Set(), maxGradNorm: 1 },
  });
  await expect(steps.optimizerStep(sequences, { learningRate: 1, dropout: spec })).rejects.toThrow(
    /dropout/,
  );
  await steps.close();
});

/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { join } from 'node:path';
import { localModelFolder } from '../../../../../src/adapters/local-model-folder';
import { createInThreadRuntime } from '../../../../../src/adapters/ort/in-thread-runtime';
import { createInThreadWorkspace } from '../../../../../src/adapters/ort/in-thread-workspace';
import {
  initialLora,
  loraLinear,
  loraShapes,
} from '../../../../../src/policies/language/lora/lora-layers';
import { parameterShapes } from '../../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../../src/policies/language/rope';
import { createTrainingSteps } from '../../../../../src/policies/language/training/training-steps';
import { adaptedFolder } from '../../../../../src/policies/language/lora/adapter-files';
import { readTrainingCheckpoint } from '../../../../../src/policies/language/training/training-checkpoint';
import { supervised } from '../../../../../src/policies/language/training/supervised';
import {
  goldenAdapter,
  goldenModel,
  goldenSequences,
  largestDifference,
  valuesOf,
} from '../../../../helpers/golden-models';
import { languageLogits } from '../../../../helpers/language-logits';

// Goldens of PEFT: two layers, all layers with rank-stabilized scaling, and 'all-linear'.

const runtime = createInThreadRuntime({ threads: 1 });
afterAll(() => runtime.close());

describe.each(['llama2', 'llama3', 'qwen2'])('%s with an adapter', (name) => {
  const model = goldenModel(name);
  const adapter = goldenAdapter(model);
  const { config } = model;
  const tokens = goldenSequences(model).map((sequence) => sequence.tokens);
  const shapes = { ...parameterShapes(config), ...loraShapes(config, adapter.lora) };
  const weights = { ...model.weights, ...adapter.weights };

  test('it has the tensors that PEFT stored', () => {
    expect(Object.keys(loraShapes(config, adapter.lora)).sort()).toEqual(
      Object.keys(adapter.weights).sort(),
    );
  });

  test('logits are those of PEFT, merged or not', async () => {
    const expected = valuesOf(model, 'lora.logits');
    const apart = await languageLogits(runtime, config, weights, tokens, {
      shapes,
      linear: (b, parameters) => loraLinear(b, parameters, adapter.lora),
    });
    expect(largestDifference(apart, expected)).toBeLessThan(1e-4);
    const base = localModelFolder(model.folder);
    const adapted = await adaptedFolder(base, localModelFolder(join(model.folder, 'adapter')));
    const merged = (await readTrainingCheckpoint(adapted)).values;
    const together = await languageLogits(runtime, config, merged, tokens);
    expect(largestDifference(together, expected)).toBeLessThan(1e-4);
  });

  test('20 steps of AdamW on the adapter alone have PEFT’s losses, and leave the model as it was', async () => {
    const golden = model.golden.loraAdamw as NonNullable<typeof model.golden.loraAdamw>;
    const stepper = createTrainingSteps([createInThreadWorkspace({ threads: 1 })], {
      model: {
        config,
        trainable: loraShapes(config, adapter.lora),
        frozen: parameterShapes(config),
        linear: (b, parameters) => loraLinear(b, parameters, adapter.lora),
      },
      rope: rotaryTables(config, config.maxPositions),
      loss: supervised,
      optimizer: { ...golden, decayed: new Set(golden.decayed) },
    });
    const copies = Object.entries(weights).map(([key, data]) => [key, data.slice()] as const);
    await stepper.load(Object.fromEntries(copies));
    const losses: number[] = [];
    while (losses.length < golden.losses.length) {
      const { learningRate } = golden;
      losses.push((await stepper.optimizerStep(goldenSequences(model), { learningRate })).loss);
    }
    expect(Object.keys(await stepper.parameters()).sort()).toEqual(
      Object.keys(adapter.weights).sort(),
    );
    await stepper.close();
    expect(largestDifference(losses, golden.losses)).toBeLessThan(1e-4);
  });

  test('a fresh adapter changes nothing', async () => {
    const fresh = initialLora(config, adapter.lora, 1);
    for (const [name, shape] of Object.entries(loraShapes(config, adapter.lora))) {
      const largest = Math.max(...(fresh[name] as Float32Array).map(Math.abs));
      const bound = name.endsWith('A.weight') ? 1 / Math.sqrt(shape[1] as number) : 0;
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThanOrEqual(0.8 * bound);
    }
    const logits = await languageLogits(runtime, config, { ...model.weights, ...fresh }, tokens, {
      shapes,
      linear: (b, parameters) => loraLinear(b, parameters, adapter.lora),
    });
    expect(largestDifference(logits, valuesOf(model, 'logits'))).toBeLessThan(1e-4);
  });
});

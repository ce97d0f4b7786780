/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { localModelFolder } from '../../../../../src/adapters/local-model-folder';
import { createInThreadWorkspace } from '../../../../../src/adapters/ort/in-thread-workspace';
import { checkpointModelFolder } from '../../../../../src/policies/language/checkpoint';
import { fromHfConfig } from '../../../../../src/policies/language/hf-config';
import {
  decayedParameters,
  parameterShapes,
} from '../../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../../src/policies/language/rope';
import { supervised } from '../../../../../src/policies/language/training/supervised';
import {
  readTrainingCheckpoint,
  writeTrainingCheckpoint,
} from '../../../../../src/policies/language/training/training-checkpoint';
import {
  createTrainingSteps,
  type TrainingSteps,
} from '../../../../../src/policies/language/training/training-steps';
import { stream } from '../../../../../src/rl/counter-rng';
import type { Digest } from '../../../../../src/schemas/ids';
import { readCheckpoint } from '../../../../../src/storage/checkpoints';
import { checkpointFolder } from '../../../../../src/storage/keys';
import type { ObjectStore } from '../../../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../../../fakes/memory-object-store';
import { tinyChatModel, TINY_CONFIG } from '../../../../helpers/tiny-chat-model';

const config = fromHfConfig(TINY_CONFIG);
const LINEAGE = {
  ...{ seed: 7, iteration: 2, parent: null, dataset: null },
  algorithm: 'a'.repeat(64),
};
let folder: string;
beforeAll(async () => {
  folder = await tinyChatModel();
});

function newSteps(): TrainingSteps {
  const shapes = parameterShapes(config);
  return createTrainingSteps([createInThreadWorkspace({ threads: 1 })], {
    model: { config, trainable: shapes },
    rope: rotaryTables(config, config.maxPositions),
    loss: supervised,
    optimizer: { weightDecay: 0.01, decayed: decayedParameters(shapes), maxGradNorm: 1 },
  });
}

/** Trains from the step that a checkpoint stands at to another one. */
async function trainTo(store: ObjectStore, from: Digest | null, last: number): Promise<Digest> {
  const model = from === null ? localModelFolder(folder) : await checkpointModelFolder(store, from);
  const { values, optimizer, state } = await readTrainingCheckpoint(model);
  const steps = newSteps();
  await steps.load(values, optimizer ?? undefined);
  for (let step = state?.globalStep ?? 0; step < last; step++) {
    const random = stream({ seed: 1, purpose: 'test.batch', iteration: step });
    const tokens = Array.from({ length: 20 }, () => random.below(700));
    await steps.optimizerStep([{ tokens, mask: tokens.map(() => 1) }], { learningRate: 1e-3 });
  }
  const digest = await writeTrainingCheckpoint(store, { config, beside: model }, steps, {
    ...LINEAGE,
    globalStep: last,
  });
  await steps.close();
  return digest;
}

test('a training that went through checkpoints ends in the digest of one that did not', async () => {
  const store = createMemoryObjectStore();
  const unbroken = await trainTo(store, null, 6);
  const first = await trainTo(store, null, 2);
  const second = await trainTo(store, first, 3);
  expect(await trainTo(store, second, 6)).toBe(unbroken);
  expect(second).not.toBe(unbroken);
  const { state } = await readTrainingCheckpoint(await checkpointModelFolder(store, second));
  expect(state).toEqual({ formatVersion: 1, ...LINEAGE, globalStep: 3, optimizerSteps: 3 });
});

test('a checkpoint has what serving needs beside the weights', async () => {
  const store = createMemoryObjectStore();
  const digest = await trainTo(store, null, 1);
  const { manifest, files } = await readCheckpoint(store, digest);
  expect(manifest.metadata).toMatchObject({ kind: 'language', modelType: 'qwen2' });
  expect([...files.keys()].sort()).toEqual([
    ...['chat_template.jinja', 'config.json', 'generation_config.json', 'model.safetensors'],
    ...['optimizer.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'training_state.json'],
  ]);
});

test('an imported model begins with moments of zero', async () => {
  const { optimizer, state } = await readTrainingCheckpoint(localModelFolder(folder));
  expect({ optimizer, state }).toEqual({ optimizer: null, state: null });
});

test('whoever trains on while a checkpoint is written spoils it, and nothing is committed', async () => {
  const store = createMemoryObjectStore();
  const model = localModelFolder(folder);
  const { values } = await readTrainingCheckpoint(model);
  const steps = newSteps();
  await steps.load(values);
  let reads = 0;
  const disturbed: TrainingSteps = {
    ...steps,
    async read(name, what) {
      const read = await steps.read(name, what);
      // The second pass sees another value.
      if (++reads > 3 * Object.keys(values).length) read[0] = 42;
      return read;
    },
  };
  await expect(
    writeTrainingCheckpoint(store, { config, beside: model }, disturbed, {
      ...LINEAGE,
      globalStep: 0,
    }),
  ).rejects.toMatchObject({ code: 'Integrity' });
  await steps.close();
});

test('a damaged state or a missing moment is named', async () => {
  const store = createMemoryObjectStore();
  const digest = await trainTo(store, null, 1);
  const inner = await checkpointModelFolder(store, digest);
  const broken = {
    ...inner,
    read: async (file: string) =>
      file === 'training_state.json' ? Buffer.from('{}') : inner.read(file),
  };
  await expect(readTrainingCheckpoint(broken)).rejects.toThrow(/training_state.json/);
  const key = `${checkpointFolder(digest)}optimizer.safetensors`;
  const { bytes } = await store.get(key);
  await store.put(key, bytes.subarray(0, -4));
  await expect(readTrainingCheckpoint(inner)).rejects.toMatchObject({ code: 'Integrity' });
});

test('metrics say the learning rate', async () => {
  const steps = newSteps();
  await steps.load((await readTrainingCheckpoint(localModelFolder(folder))).values);
  const metrics = await steps.optimizerStep([{ tokens: [1, 2, 3], mask: [1, 1, 1] }], {
    learningRate: 0.25,
  });
  expect(metrics.learningRate).toBe(0.25);
  await expect(steps.read('lm_head.weight')).rejects.toMatchObject({ code: 'NotFound' });
  await steps.close();
});

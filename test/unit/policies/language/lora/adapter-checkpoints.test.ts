/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localModelFolder } from '../../../../../src/adapters/local-model-folder';
import { createInThreadWorkspace } from '../../../../../src/adapters/ort/in-thread-workspace';
import { collectGarbage } from '../../../../../src/integrity/collect-garbage';
import { verifyStore } from '../../../../../src/integrity/verify-store';
import {
  checkpointModelFolder,
  readLanguageCheckpoint,
} from '../../../../../src/policies/language/checkpoint';
import { exportAdapter, exportModel } from '../../../../../src/policies/language/export-model';
import { fromHfConfig } from '../../../../../src/policies/language/hf-config';
import { importAdapter, importModel } from '../../../../../src/policies/language/import-model';
import { loraLinear, loraShapes } from '../../../../../src/policies/language/lora/lora-layers';
import { openModelWeights } from '../../../../../src/policies/language/model-files';
import type { ModelFolder } from '../../../../../src/policies/language/model-folder';
import { parameterShapes } from '../../../../../src/policies/language/parameters';
import { rotaryTables } from '../../../../../src/policies/language/rope';
import { supervised } from '../../../../../src/policies/language/training/supervised';
import {
  readAdapterTraining,
  readTrainingCheckpoint,
  writeTrainingCheckpoint,
} from '../../../../../src/policies/language/training/training-checkpoint';
import { createTrainingSteps } from '../../../../../src/policies/language/training/training-steps';
import { stream } from '../../../../../src/rl/counter-rng';
import type { Digest } from '../../../../../src/schemas/ids';
import { readCheckpoint } from '../../../../../src/storage/checkpoints';
import { checkpointFolder } from '../../../../../src/storage/keys';
import type { ObjectStore } from '../../../../../src/storage/object-store';
import { createRouting } from '../../../../../src/storage/routing';
import { readSafetensors, writeSafetensors } from '../../../../../src/storage/safetensors';
import { createMemoryObjectStore } from '../../../../fakes/memory-object-store';
import { tinyAdapter, TINY_LORA } from '../../../../helpers/tiny-adapter';
import { tinyChatModel, TINY_CONFIG } from '../../../../helpers/tiny-chat-model';
import { routingTo } from '../../../gateway/gateway-fixture';

const config = fromHfConfig(TINY_CONFIG);
const QUERY = 'model.layers.1.self_attn.q_proj';
const NORM = 'model.layers.1.input_layernorm.weight';

let model: string;
let store: ObjectStore;
let base: Digest;
beforeAll(async () => {
  model = await tinyChatModel();
});
beforeEach(async () => {
  store = createMemoryObjectStore();
  base = (await importModel(store, localModelFolder(model))).checkpoint;
});

async function weight(folder: ModelFolder, name: string): Promise<Float32Array> {
  const weights = await openModelWeights(folder);
  const values = await weights.read(name);
  await weights.close();
  return values;
}

const tensorOf = (folder: string, name: string): Float32Array =>
  readSafetensors(readFileSync(join(folder, 'adapter_model.safetensors'))).tensors.get(name)
    ?.data as Float32Array;

test('an adapter over a checkpoint is read as the merged model, and holds no weights of its base', async () => {
  const folder = await tinyAdapter();
  const { checkpoint } = await importAdapter(store, localModelFolder(folder), base);
  const { manifest, files } = await readCheckpoint(store, checkpoint);
  expect(manifest.metadata).toMatchObject({ kind: 'language', base });
  expect([...files.keys()].sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);

  const [before, after] = [
    await weight(await checkpointModelFolder(store, base), `${QUERY}.weight`),
    await weight(await checkpointModelFolder(store, checkpoint), `${QUERY}.weight`),
  ];
  const a = tensorOf(folder, `base_model.model.${QUERY}.lora_A.weight`); // [2, 32]
  const b = tensorOf(folder, `base_model.model.${QUERY}.lora_B.weight`); // [32, 2]
  const [row, column] = [5, 17];
  const change = [0, 1].reduce(
    (sum, r) => sum + 4 * (b[row * 2 + r] as number) * (a[r * 32 + column] as number),
    0,
  );
  const at = row * 32 + column;
  expect(after[at]).toBeCloseTo((before[at] as number) + change, 5);
  expect(Math.abs(change)).toBeGreaterThan(0.01);
  expect(await weight(await checkpointModelFolder(store, checkpoint), NORM)).toEqual(
    await weight(await checkpointModelFolder(store, base), NORM),
  );
});

test('files beside an adapter count more than those of its base', async () => {
  const folder = await tinyAdapter();
  writeFileSync(join(folder, 'chat_template.jinja'), 'mine');
  const { checkpoint } = await importAdapter(store, localModelFolder(folder), base);
  const adapted = await checkpointModelFolder(store, checkpoint);
  expect(Buffer.from(await adapted.read('chat_template.jinja')).toString()).toBe('mine');
  expect(JSON.parse(Buffer.from(await adapted.read('config.json')).toString())).toEqual(
    TINY_CONFIG,
  );
});

describe('refused is', () => {
  const nothingStored = async (checkpoints: number): Promise<void> => {
    const stored = new Set<string>();
    for await (const { key } of store.list('v1/checkpoints/')) stored.add(key.split('/')[2] ?? '');
    expect(stored.size).toBe(checkpoints);
  };

  test('an adapter without a base', async () => {
    await expect(importModel(store, localModelFolder(await tinyAdapter()))).rejects.toThrow(
      /holds an adapter: say with --base which checkpoint/,
    );
  });

  test('an adapter over an adapter', async () => {
    const first = await importAdapter(store, localModelFolder(await tinyAdapter()), base);
    await expect(
      importAdapter(store, localModelFolder(await tinyAdapter(2)), first.checkpoint),
    ).rejects.toThrow(/this base is an adapter/);
    await nothingStored(2);
  });

  test.each([
    ['a tensor too few', (name: string) => !name.includes('lora_A'), /lora_A.weight is missing/],
    ['a tensor of another shape', () => true, /expected \[2, 32\], got \[4, 16\]/],
  ])('%s', async (_, isKept, message) => {
    const folder = await tinyAdapter();
    const file = join(folder, 'adapter_model.safetensors');
    const { tensors } = readSafetensors(readFileSync(file));
    const kept = [...tensors].filter(([name]) => isKept(name));
    const changed = kept.map(
      ([name, tensor]) =>
        [name, tensor.shape.join() === '2,32' ? { ...tensor, shape: [4, 16] } : tensor] as const,
    );
    await writeFile(file, writeSafetensors(new Map(changed)));
    await expect(importAdapter(store, localModelFolder(folder), base)).rejects.toThrow(message);
    await nothingStored(1);
  });

  test('a tensor too many', async () => {
    const folder = await tinyAdapter();
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    writeFileSync(
      join(folder, 'adapter_config.json'),
      JSON.stringify({ ...config, target_modules: ['q_proj'] }),
    );
    await expect(importAdapter(store, localModelFolder(folder), base)).rejects.toThrow(
      /down_proj.lora_A.weight does not belong there/,
    );
  });

  test('a file that was cut off', async () => {
    const folder = await tinyAdapter();
    const file = join(folder, 'adapter_model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -4));
    await expect(importAdapter(store, localModelFolder(folder), base)).rejects.toMatchObject({
      code: 'Integrity',
    });
    await nothingStored(1);
  });
});

test('an exported adapter is the folder that was imported; exported as a model, it is merged', async () => {
  const folder = await tinyAdapter();
  const { checkpoint } = await importAdapter(store, localModelFolder(folder), base);
  const { own } = await readLanguageCheckpoint(store, checkpoint);
  const names: string[] = [];
  for await (const { name, chunks } of exportAdapter(own)) {
    const bytes: Uint8Array[] = [];
    for await (const chunk of chunks()) bytes.push(chunk);
    expect(Buffer.concat(bytes).equals(readFileSync(join(folder, name)))).toBe(true);
    names.push(name);
  }
  expect(names.sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);

  const merged = await tinyAdapter();
  const adapted = await checkpointModelFolder(store, checkpoint);
  const written = new Set<string>();
  for await (const file of exportModel(adapted, { dtype: 'F32' })) {
    await writeFile(join(merged, file.name), file.chunks());
    written.add(file.name);
  }
  expect(written).not.toContain('adapter_config.json');
  expect(written).not.toContain('adapter_model.safetensors');
  const { tensors } = readSafetensors(readFileSync(join(merged, 'model.safetensors')));
  expect(tensors.get(`${QUERY}.weight`)?.data).toEqual(await weight(adapted, `${QUERY}.weight`));
});

test('what is no adapter cannot be exported as one', async () => {
  const { own } = await readLanguageCheckpoint(store, base);
  const first = async (): Promise<void> => {
    for await (const file of exportAdapter(own)) throw new Error(file.name);
  };
  await expect(first()).rejects.toThrow(/no adapter/);
});

test('garbage collection keeps the base of an adapter that is routed to, and nothing else', async () => {
  const { checkpoint } = await importAdapter(store, localModelFolder(await tinyAdapter()), base);
  const stray = await importAdapter(store, localModelFolder(await tinyAdapter(2)), base);
  await createRouting(store, 'writer', routingTo(checkpoint, null));
  await collectGarbage(store, {
    workflows: { openWorkflowIds: async () => new Set() },
    ...{ olderThanMs: 0, runsOlderThanMs: null, isDryRun: false },
  });
  expect(await weight(await checkpointModelFolder(store, checkpoint), NORM)).toHaveLength(32);
  await expect(checkpointModelFolder(store, stray.checkpoint)).rejects.toMatchObject({
    code: 'NotFound',
  });
});

test('a base that is gone is damage, and found', async () => {
  const { checkpoint } = await importAdapter(store, localModelFolder(await tinyAdapter()), base);
  await createRouting(store, 'writer', routingTo(checkpoint, null));
  const check = () => verifyStore(store, { isDeep: false, doesQuarantine: false });
  expect((await check()).findings).toEqual([]);
  await store.delete(`${checkpointFolder(base)}manifest.json`);
  expect((await check()).findings).toContainEqual(
    expect.objectContaining({ key: `${checkpointFolder(base)}manifest.json`, problem: 'missing' }),
  );
});

describe('training', () => {
  const STATE = { seed: 7, iteration: 2, dataset: null, algorithm: 'a'.repeat(64) };

  /** Trains an adapter over the base from the step that a checkpoint stands at to another one. */
  async function trainTo(from: Digest | null, last: number): Promise<Digest> {
    const own = from === null ? null : (await readLanguageCheckpoint(store, from)).own;
    const { values, optimizer, state, lora } = await readAdapterTraining(
      await checkpointModelFolder(store, base),
      own ?? { lora: TINY_LORA, seed: 3 },
    );
    const shapes = loraShapes(config, lora);
    const steps = createTrainingSteps([createInThreadWorkspace({ threads: 1 })], {
      model: {
        config,
        trainable: shapes,
        frozen: parameterShapes(config),
        linear: (b, parameters) => loraLinear(b, parameters, lora),
      },
      rope: rotaryTables(config, config.maxPositions),
      loss: supervised,
      optimizer: { weightDecay: 0.01, decayed: new Set(Object.keys(shapes)), maxGradNorm: 1 },
    });
    await steps.load(values, optimizer ?? undefined);
    for (let step = state?.globalStep ?? 0; step < last; step++) {
      const random = stream({ seed: 1, purpose: 'test.batch', iteration: step });
      const tokens = Array.from({ length: 20 }, () => random.below(700));
      await steps.optimizerStep([{ tokens, mask: tokens.map(() => 1) }], { learningRate: 1e-2 });
    }
    const digest = await writeTrainingCheckpoint(
      store,
      { config, beside: own, adapter: { lora, base } },
      steps,
      { ...STATE, parent: base, globalStep: last },
    );
    await steps.close();
    return digest;
  }

  test('an adapter’s training that went through checkpoints ends in the digest of one that did not', async () => {
    const unbroken = await trainTo(null, 5);
    expect(await trainTo(await trainTo(null, 2), 5)).toBe(unbroken);
    const { manifest, files } = await readCheckpoint(store, unbroken);
    expect(manifest.metadata).toMatchObject({ kind: 'language', base });
    expect([...files.keys()].sort()).toEqual([
      ...['adapter_config.json', 'adapter_model.safetensors', 'optimizer.safetensors'],
      'training_state.json',
    ]);
    const trained = await checkpointModelFolder(store, unbroken);
    expect(await weight(trained, `${QUERY}.weight`)).not.toEqual(
      await weight(await checkpointModelFolder(store, base), `${QUERY}.weight`),
    );
  });

  test('as a whole, an adapted model begins anew: merged weights, no moments', async () => {
    const digest = await trainTo(null, 2);
    const adapted = await checkpointModelFolder(store, digest);
    const { values, optimizer, state } = await readTrainingCheckpoint(adapted);
    expect({ optimizer, state }).toEqual({ optimizer: null, state: null });
    expect(values[`${QUERY}.weight`]).toEqual(await weight(adapted, `${QUERY}.weight`));
  });
});

/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../../../src/adapters/ort/in-thread-runtime';
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localModelFolder } from '../../../../src/adapters/local-model-folder';
import {
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  RatchetError,
} from '../../../../src/errors';
import { openModelWeights } from '../../../../src/policies/language/model-files';
import { readSafetensors, writeSafetensors } from '../../../../src/storage/safetensors';
import { stream } from '../../../../src/rl/counter-rng';
import { goldenModel, largestDifference } from '../../../helpers/golden-models';
import { languageLogits } from '../../../helpers/language-logits';

const MODELS = join(__dirname, '../../../goldens/language/models');

/** A copy of a golden model that a test may damage. */
async function copyOf(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-model-'));
  await cp(join(MODELS, name), folder, { recursive: true });
  folders.push(folder);
  return folder;
}
const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

const open = (folder: string): ReturnType<typeof openModelWeights> =>
  openModelWeights(localModelFolder(folder));

test('bfloat16 over three shards gives the logits of transformers', async () => {
  const folder = join(MODELS, 'sharded-bf16');
  const weights = await open(folder);
  const values: Record<string, Float32Array> = {};
  for (const name of weights.names) values[name] = await weights.read(name);
  await weights.close();
  const golden = readSafetensors(await readFile(join(folder, 'golden.safetensors'))).tensors;
  const ids = Array.from(golden.get('input_ids')?.data ?? [], Number);
  const runtime = createInThreadRuntime({ threads: 1 });
  const logits = await languageLogits(runtime, weights.config, values, [
    ids.slice(0, 24),
    ids.slice(24),
  ]);
  await runtime.close();
  expect(largestDifference(logits, golden.get('logits')?.data as Float32Array)).toBeLessThan(1e-4);
});

test('a folder without its files, or that is not there, says which', async () => {
  await expect(open(join(MODELS, 'nowhere'))).rejects.toThrow(/nowhere.*config\.json/);
  const folder = await copyOf('llama2');
  await rm(join(folder, 'model.safetensors'));
  await expect(open(folder)).rejects.toThrow(NotFoundError);
  await expect(open(folder)).rejects.toThrow(/model\.safetensors/);
});

test('a shard that is cut off or missing, and an index that lies, are refused', async () => {
  const cut = await copyOf('sharded-bf16');
  await truncate(join(cut, 'model-00002-of-00003.safetensors'), 5000);
  await expect(open(cut)).rejects.toThrow(/cut off/);
  const gone = await copyOf('sharded-bf16');
  await rm(join(gone, 'model-00003-of-00003.safetensors'));
  await expect(open(gone)).rejects.toThrow(/model-00003-of-00003/);
  const lying = await copyOf('sharded-bf16');
  const index = join(lying, 'model.safetensors.index.json');
  const json = JSON.parse(await readFile(index, 'utf8')) as { weight_map: Record<string, string> };
  json.weight_map['model.norm.weight'] = 'model-00001-of-00003.safetensors';
  await writeFile(index, JSON.stringify(json));
  await expect(open(lying)).rejects.toThrow(/tensor=model\.norm\.weight/);
  json.weight_map['model.norm.weight'] = '../../secrets.safetensors';
  await writeFile(index, JSON.stringify(json));
  await expect(open(lying)).rejects.toThrow(/outside its folder/);
  await writeFile(index, '{"weight_map": 3}');
  await expect(open(lying)).rejects.toThrow(IntegrityError);
});

test('weights that do not fit the configuration are all named at once', async () => {
  const folder = await copyOf('llama2');
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...config, num_hidden_layers: 3, vocab_size: 97 }));
  await expect(open(folder)).rejects.toThrow(
    /embed_tokens\.weight: expected \[97, 32\], got \[96, 32\].*layers\.2\.self_attn\.q_proj\.weight is missing/s,
  );
  await writeFile(path, JSON.stringify({ ...config, num_hidden_layers: 1 }));
  await expect(open(folder)).rejects.toThrow(/layers\.1\.\S+ does not belong there/);
});

test('a tied model may store its output embedding, if it is the same', async () => {
  const folder = await copyOf('llama3');
  const path = join(folder, 'model.safetensors');
  const { tensors } = readSafetensors(await readFile(path));
  const embedding = tensors.get('model.embed_tokens.weight');
  if (embedding?.dtype !== 'float32') throw new Error('a model without an embedding');
  await writeFile(path, writeSafetensors(new Map([...tensors, ['lm_head.weight', embedding]])));
  await (await open(folder)).close();
  const other = { ...embedding, data: embedding.data.map((x) => x + 1) };
  await writeFile(path, writeSafetensors(new Map([...tensors, ['lm_head.weight', other]])));
  await expect(open(folder)).rejects.toThrow(/tied/);
});

test.each([
  [{ model_type: 'mistral' }, /llama, qwen2 or qwen3/],
  [{ hidden_act: 'gelu' }, /hidden_act gelu/],
  [{ quantization_config: { bits: 4 } }, /quantized/],
  [{ rope_parameters: { rope_type: 'longrope', factor: 2 } }, /longrope/],
  [{ rope_parameters: { rope_type: 'linear' } }, /factor/],
  [{ num_key_value_heads: 3 }, /4 heads over 3/],
  [{ head_dim: 7 }, /odd size 7/],
  [{ pretraining_tp: 2 }, /pretraining_tp/],
  [{ vocab_size: -1 }, /vocab_size/],
])('a configuration with %j is refused by name', async (change, message) => {
  const folder = await copyOf('llama2');
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(path, JSON.stringify({ ...config, ...change }));
  await expect(open(folder)).rejects.toThrow(message);
  await expect(open(folder)).rejects.toThrow(InvalidInputError);
});

test('Qwen’s sliding window is refused only where it is switched on', async () => {
  const folder = await copyOf('qwen2');
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  await writeFile(
    path,
    JSON.stringify({ ...config, use_sliding_window: false, sliding_window: 8 }),
  );
  await (await open(folder)).close();
  await writeFile(path, JSON.stringify({ ...config, use_sliding_window: true, sliding_window: 8 }));
  await expect(open(folder)).rejects.toThrow(/sliding window/);
});

test('1,000 files with a changed byte give the same shapes or an error of the taxonomy, and never anything else', async () => {
  const folder = await copyOf('llama2');
  const path = join(folder, 'model.safetensors');
  const good = await readFile(path);
  const random = stream({ seed: 1, purpose: 'test.mutations' });
  const headerEnd = 8 + Number(good.readBigUInt64LE(0));
  for (let i = 0; i < 1000; i++) {
    const bytes = Buffer.from(good);
    for (let k = 0; k <= random.below(3); k++) bytes[random.below(headerEnd)] = random.below(256);
    await writeFile(path, bytes);
    try {
      const weights = await open(folder);
      for (const name of weights.names) await weights.read(name);
      await weights.close();
    } catch (error) {
      expect(error).toBeInstanceOf(RatchetError);
    }
  }
});

test('weights that find no memory are named, with what they need', async () => {
  const folder = localModelFolder(goldenModel('llama2').folder);
  const small = {
    ...folder,
    async open(file: string) {
      const opened = await folder.open(file);
      return {
        ...opened,
        async read(offset: number, length: number) {
          const bytes = await opened.read(offset, length);
          if (offset > 8_000) throw new RangeError('Array buffer allocation failed');
          return bytes;
        },
      };
    },
  };
  const weights = await openModelWeights(small);
  await expect(weights.read('model.norm.weight')).rejects.toThrow(
    /no memory for the weights .*parameter=model.norm.weight, megabytes=1/,
  );
  await weights.close();
});

import { mkdtempSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localModelFolder } from '../../../../src/adapters/local-model-folder';
import { exportModel, type ExportSettings } from '../../../../src/policies/language/export-model';
import { openModelWeights } from '../../../../src/policies/language/model-files';
import { streamSafetensors } from '../../../../src/storage/stream-safetensors';
import { tinyChatModel } from '../../../helpers/tiny-chat-model';

let source: string;
beforeAll(async () => {
  source = await tinyChatModel();
});

async function exported(settings: ExportSettings): Promise<{ folder: string; names: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-export-'));
  const names: string[] = [];
  for await (const file of exportModel(localModelFolder(source), settings)) {
    names.push(file.name);
    await writeFile(join(folder, file.name), file.chunks());
  }
  return { folder, names };
}

async function weightsIn(folder: string): Promise<Map<string, Float32Array>> {
  const weights = await openModelWeights(localModelFolder(folder));
  const values = new Map<string, Float32Array>();
  for (const name of weights.names) values.set(name, await weights.read(name));
  await weights.close();
  return values;
}

test('an exported model is the same model, with all that stood beside its weights', async () => {
  const { folder, names } = await exported({ dtype: 'F32' });
  expect(await weightsIn(folder)).toEqual(await weightsIn(source));
  expect(names.sort()).toEqual([
    ...['chat_template.jinja', 'config.json', 'generation_config.json', 'model.safetensors'],
    ...['tokenizer.json', 'tokenizer_config.json'],
  ]);
});

test('shards hold each tensor once, none larger than allowed, with an index', async () => {
  const { folder, names } = await exported({ dtype: 'F32', maxShardBytes: 40_000 });
  const shards = names.filter((name) => name.endsWith('.safetensors'));
  expect(shards.length).toBeGreaterThan(2);
  expect(names).toContain('model.safetensors.index.json');
  expect(await weightsIn(folder)).toEqual(await weightsIn(source));
  const [first = '', ...rest] = shards;
  // The embedding is larger than a shard may be, and has one to itself.
  expect(readFileSync(join(folder, first)).byteLength).toBeGreaterThan(703 * 32 * 4);
  for (const shard of rest) {
    expect(readFileSync(join(folder, shard)).byteLength).toBeLessThan(40_000 + 4_000);
  }
});

test.each([
  ['BF16', 2 ** -8, 'bfloat16'],
  ['F16', 2 ** -11, 'float16'],
] as const)(
  '%s rounds each weight to its precision, and config.json says so',
  async (dtype, relative, name) => {
    const { folder } = await exported({ dtype });
    const [before, after] = [await weightsIn(source), await weightsIn(folder)];
    for (const [parameter, values] of before) {
      const got = after.get(parameter) as Float32Array;
      values.forEach((value, i) => {
        expect(Math.abs((got[i] as number) - value)).toBeLessThanOrEqual(
          Math.abs(value) * relative + 1e-7,
        );
      });
    }
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
    expect(config).toMatchObject({ torch_dtype: name, model_type: 'qwen2' });
  },
);

test('a tensor that does not fit its shape is refused', async () => {
  const tensor = { name: 'w', shape: [2, 2], read: async () => new Float32Array(3) };
  const pieces = streamSafetensors([tensor], 'F32')[Symbol.asyncIterator]();
  await pieces.next();
  await pieces.next();
  await expect(pieces.next()).rejects.toMatchObject({
    code: 'InvalidInput',
    context: { tensor: 'w' },
  });
});

import { NotFoundError } from '../../../../../src/errors';
import type { ModelFolder } from '../../../../../src/policies/language/model-folder';
import { readStopTokens } from '../../../../../src/policies/language/serving/generation-config';
import { goldenTokenizer } from '../../../../helpers/text-goldens';

function folderOf(files: Record<string, string>): ModelFolder {
  const read = async (file: string): Promise<Uint8Array> => {
    const text = files[file];
    if (text === undefined) throw new NotFoundError('no such file');
    return Buffer.from(text);
  };
  return {
    name: 'model',
    read,
    open: async () => Promise.reject(new Error('no')),
    list: async () => Object.keys(files),
  };
}

test('the tokens that end a turn are those of both configurations and the tokenizer', async () => {
  const tokenizer = await goldenTokenizer('qwen2');
  const own = tokenizer.idOf('<|im_end|>') as number;
  const stops = async (files: Record<string, string>): Promise<number[]> => [
    ...(await readStopTokens(folderOf(files), tokenizer)),
  ];
  expect(await stops({})).toEqual([own]);
  expect(
    await stops({
      'config.json': '{"eos_token_id": 5}',
      'generation_config.json': '{"eos_token_id": [6, 7]}',
    }),
  ).toEqual([6, 7, 5, own]);
  expect(await stops({ 'config.json': '{"eos_token_id": null}' })).toEqual([own]);
});

test('a file that is damaged is named', async () => {
  const tokenizer = await goldenTokenizer('qwen2');
  for (const text of ['{', '{"eos_token_id": "end"}']) {
    await expect(
      readStopTokens(folderOf({ 'generation_config.json': text }), tokenizer),
    ).rejects.toMatchObject({
      code: 'Integrity',
      message: expect.stringContaining('generation_config.json') as string,
    });
  }
});

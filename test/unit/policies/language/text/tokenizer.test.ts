import { bytesOfToken } from '../../../../../src/policies/language/text/token-bytes';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localModelFolder } from '../../../../../src/adapters/local-model-folder';
import { createTextStream } from '../../../../../src/policies/language/text/text-stream';
import { openTokenizer } from '../../../../../src/policies/language/text/tokenizer';
import {
  goldenIds,
  goldenLines,
  goldenTokenizer,
  TOKENIZERS,
} from '../../../../helpers/text-goldens';

const lines = goldenLines();

describe.each(TOKENIZERS)('%s', (name) => {
  test('the ids of 2,000 lines in many scripts are those of transformers', async () => {
    const tokenizer = await goldenTokenizer(name);
    const expected = goldenIds(name);
    expect(lines).toHaveLength(2000);
    lines.forEach((line, i) => {
      const ids = tokenizer.encode(line, { addSpecialTokens: true });
      if (ids.join() !== (expected[i] ?? []).join()) {
        throw new Error(`line ${i}, ${JSON.stringify(line)}: got ${ids.join()}`);
      }
    });
  });

  test('what is shown token by token is the text of all of them', async () => {
    const tokenizer = await goldenTokenizer(name);
    for (const line of lines.slice(0, 400)) {
      const ids = tokenizer.encode(line);
      const stream = createTextStream(tokenizer);
      const pieces = ids.map((id) => stream.push(id));
      expect(pieces.join('') + stream.end()).toBe(tokenizer.decode(ids));
    }
  });
});

test('half a character is not shown', async () => {
  const tokenizer = await goldenTokenizer('llama3');
  const ids = tokenizer.encode('a🙂b');
  const stream = createTextStream(tokenizer);
  const pieces = ids.map((id) => stream.push(id));
  expect(pieces.filter((piece) => piece !== '')).toEqual(['a', '🙂', 'b']);
});

test('bytes that become no character are shown as such, and hold nothing up', async () => {
  const tokenizer = await goldenTokenizer('llama3');
  const [first = 0] = tokenizer.encode('🙂');
  const stream = createTextStream(tokenizer);
  const pieces = Array.from({ length: 5 }, () => stream.push(first));
  expect(pieces.join('')).toMatch(/^\ufffd+$/u);
  expect(stream.end()).toMatch(/^\ufffd+$/u);
});

describe('a folder', () => {
  const folderOf = (files: Record<string, string>): string => {
    const folder = mkdtempSync(join(tmpdir(), 'ratchet-tokenizer-'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return folder;
  };
  const opened = (files: Record<string, string>): Promise<unknown> =>
    openTokenizer(localModelFolder(folderOf(files)));

  test('without tokenizer.json is refused', async () => {
    await expect(opened({})).rejects.toMatchObject({
      code: 'NotFound',
      context: { file: 'tokenizer.json' },
    });
  });

  test('whose files are damaged is refused by name', async () => {
    await expect(opened({ 'tokenizer.json': '{"mod' })).rejects.toMatchObject({
      code: 'Integrity',
      message: expect.stringContaining('tokenizer.json is not JSON') as string,
    });
    await expect(opened({ 'tokenizer.json': '[]' })).rejects.toMatchObject({ code: 'Integrity' });
    await expect(
      opened({ 'tokenizer.json': '{"model": {}}', 'tokenizer_config.json': '{"eos_token": 7}' }),
    ).rejects.toMatchObject({
      code: 'Integrity',
      message: expect.stringContaining('eos_token') as string,
    });
  });

  test('that asks for an unknown kind of tokenizer is refused', async () => {
    await expect(
      opened({ 'tokenizer.json': '{"model": {"type": "Runes"}, "added_tokens": []}' }),
    ).rejects.toMatchObject({ code: 'InvalidInput' });
  });
});

test('GPT-2’s alphabet has 256 characters, one for each byte, and no other is one', () => {
  const alphabet = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code)).filter(
    (character) => bytesOfToken(character, 'byte-level') !== null,
  );
  const bytes = alphabet.map((character) => bytesOfToken(character, 'byte-level')?.[0]);
  expect(alphabet).toHaveLength(256);
  expect(new Set(bytes).size).toBe(256);
  expect([...'! ~¡¬®ÿ'].filter((c) => !alphabet.includes(c))).toEqual([' ']);
  expect(bytesOfToken('Ġa', 'byte-level')).toEqual(Uint8Array.of(0x20, 0x61));
  expect(bytesOfToken('Ń', 'byte-level')).toEqual(Uint8Array.of(0xad)); // the last of those that are not printable
  expect(bytesOfToken('<0x0A>', 'sentencepiece')).toEqual(Uint8Array.of(10));
  expect(Buffer.from(bytesOfToken('▁a', 'sentencepiece') ?? []).toString()).toBe(' a');
});

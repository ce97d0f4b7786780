import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { localModelFolder } from '../../src/adapters/local-model-folder';
import {
  createChatTemplate,
  type ChatTemplate,
} from '../../src/policies/language/text/chat-template';
import { openTokenizer, type LanguageTokenizer } from '../../src/policies/language/text/tokenizer';
import type { Message, Tool } from '../../src/schemas/message';

// What make_text_goldens.py wrote.

const ROOT = join(__dirname, '../goldens/language/text');

export const TOKENIZERS = ['qwen2', 'llama3', 'llama2', 'mistral'] as const;
export const TEMPLATES = ['chatml', 'llama3', 'inst', 'generation'] as const;

export const goldenTokenizer = (name: string): Promise<LanguageTokenizer> =>
  openTokenizer(localModelFolder(join(ROOT, name)));

export function goldenLines(): string[] {
  return readFileSync(join(ROOT, 'lines.txt'), 'utf8').split('\n');
}

/** The ids of each line. */
export function goldenIds(name: string): number[][] {
  const bytes = gunzipSync(readFileSync(join(ROOT, name, 'ids.bin.gz')));
  const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const lines: number[][] = [];
  for (let at = 0; at < values.length; at += 1 + (values[at] as number)) {
    lines.push([...values.subarray(at + 1, at + 1 + (values[at] as number))]);
  }
  return lines;
}

export interface TemplateCase {
  readonly messages: Message[];
  readonly tools?: Tool[];
  readonly add_generation_prompt?: boolean;
  readonly text: string;
  readonly ids: number[];
  readonly mask?: number[];
}

export async function goldenTemplate(name: string): Promise<{
  readonly tokenizer: LanguageTokenizer;
  readonly template: ChatTemplate;
  readonly cases: readonly TemplateCase[];
}> {
  const golden = JSON.parse(readFileSync(join(ROOT, `templates/${name}.json`), 'utf8')) as {
    tokenizer: string;
    cases: TemplateCase[];
  };
  const tokenizer = await goldenTokenizer(golden.tokenizer);
  const source = readFileSync(join(ROOT, `templates/${name}.jinja`), 'utf8');
  return { tokenizer, template: createChatTemplate(source, tokenizer.config), cases: golden.cases };
}

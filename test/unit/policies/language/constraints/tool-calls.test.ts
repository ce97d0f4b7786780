import { Machine, type State } from '../../../../../src/policies/language/constraints/machine';
import { constrainTokens } from '../../../../../src/policies/language/constraints/token-constraint';
import { TokenTrie } from '../../../../../src/policies/language/constraints/token-trie';
import {
  toolCallFormatOf,
  toolCallText,
  type ToolCallFormat,
} from '../../../../../src/policies/language/constraints/tool-call-grammar';
import type { TokenConstraint } from '../../../../../src/policies/language/generation/generation';
import type { LanguageTokenizer } from '../../../../../src/policies/language/text/tokenizer';
import { parseToolCalls } from '../../../../../src/policies/language/text/tool-calls';
import { stream } from '../../../../../src/rl/counter-rng';
import type { Tool } from '../../../../../src/schemas/message';
import { goldenLines, goldenTokenizer, TOKENIZERS } from '../../../../helpers/text-goldens';

const TOOLS: Tool[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      parameters: {
        type: 'object',
        properties: {
          city: { type: 'string', minLength: 1, maxLength: 8 },
          days: { type: 'integer', minimum: 1, maximum: 14 },
          unit: { enum: ['C', 'F'] },
        },
        required: ['city'],
      },
    },
  },
  { type: 'function', function: { name: 'refund' } },
];
const FORMATS: readonly ToolCallFormat[] = ['hermes', 'mistral', 'llama3'];

function constraintFor(
  tokenizer: LanguageTokenizer,
  format: ToolCallFormat,
  only?: string,
): { constraint: TokenConstraint; stop: number } {
  const stop = tokenizer.idOf(tokenizer.config.eos_token ?? '') ?? -1;
  const { vocabSize, bytesOf } = tokenizer;
  const vocabulary = {
    trie: new TokenTrie(vocabSize, bytesOf),
    bytesOf,
    stopTokens: new Set([stop]),
  };
  return { constraint: constrainTokens(vocabulary, toolCallText(format, TOOLS, only)), stop };
}

const allows = (constraint: TokenConstraint, id: number): boolean =>
  (((constraint.allowed()[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1;

describe.each(TOKENIZERS)('in the vocabulary of %s', (name) => {
  test('the bytes of tokens are those of the text that they are decoded to', async () => {
    const tokenizer = await goldenTokenizer(name);
    // The byte order mark is left out: the library drops it when it decodes.
    for (const line of goldenLines()
      .slice(0, 300)
      .filter((text) => !text.includes('\ufeff'))) {
      const ids = tokenizer.encode(`x${line}`).filter((id) => tokenizer.bytesOf(id) !== null);
      const bytes = Buffer.concat(ids.map((id) => tokenizer.bytesOf(id) as Uint8Array));
      // Sentencepiece begins a text with a space that decoding takes off.
      expect(bytes.toString().replace(/^ /, '')).toBe(tokenizer.decode(ids).replace(/^ /, ''));
    }
  });

  test.each(FORMATS)('random tokens held to %s are valid calls', async (format) => {
    const tokenizer = await goldenTokenizer(name);
    const { constraint, stop } = constraintFor(tokenizer, format);
    const random = stream({ seed: 5, purpose: `test.calls.${name}.${format}` });
    let ended = 0;
    for (let i = 0; i < 30; i++) {
      let at = constraint;
      const ids: number[] = [];
      while (ids.length < 600) {
        const open = [...Array(tokenizer.vocabSize).keys()].filter((id) => allows(at, id));
        // Mostly what closes something, so that it comes to an end.
        const closing = open.filter((id) => /["}\]>]/.test(tokenizer.decode([id])));
        const from = allows(at, stop)
          ? [stop]
          : closing.length > 0 && random.below(3) > 0
            ? closing
            : open;
        const id = from[random.below(from.length)] as number;
        if (id === stop) break;
        ids.push(id);
        at = at.accept(id);
      }
      const text = Buffer.concat(ids.map((id) => tokenizer.bytesOf(id) as Uint8Array)).toString();
      if (ids.length >= 600) continue; // a free object that grew and grew
      ended++;
      const { content, calls } = parseToolCalls(text, ['get_weather', 'refund'], 'seed');
      if (calls.length === 0 || content !== '') throw new Error(`not only calls: ${text}`);
      for (const { function: called } of calls) {
        const given = JSON.parse(called?.arguments ?? '') as {
          city?: string;
          days?: number;
          unit?: string;
        };
        if (called?.name === 'refund') expect(given).toEqual({});
        else {
          expect([...(given.city ?? '')].length).toBeGreaterThan(0);
          expect([...(given.city ?? '')].length).toBeLessThan(9);
          expect([undefined, 'C', 'F']).toContain(given.unit);
          expect(given.days ?? 1).toBeGreaterThan(0);
          expect(given.days ?? 1).toBeLessThan(15);
        }
      }
    }
    expect(ended).toBeGreaterThan(20);
  });
});

test('a text of the template’s own can be written, and may end only where it is whole', async () => {
  const tokenizer = await goldenTokenizer('qwen2');
  const { constraint, stop } = constraintFor(tokenizer, 'hermes');
  const call =
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich", "days": 2}}\n</tool_call>';
  let at = constraint;
  for (const id of tokenizer.encode(`${call}\n${call}`)) {
    expect(allows(at, id)).toBe(true);
    at = at.accept(id);
  }
  expect(allows(at, stop)).toBe(true);
  expect(allows(constraint, stop)).toBe(false);
  expect(allows(constraint, tokenizer.idOf('<|im_start|>') as number)).toBe(false);
});

test('eight calls are the most', () => {
  const call = '<tool_call>\n{"name": "refund", "arguments": {}}\n</tool_call>';
  const write = (count: number): boolean => {
    let state: State | null = new Machine().start(toolCallText('hermes', TOOLS));
    for (const byte of Buffer.from(new Array(count).fill(call).join('\n')))
      state = state?.step(byte) ?? null;
    return state?.isComplete ?? false;
  };
  expect([1, 2, 7, 8, 9].map(write)).toEqual([true, true, true, true, false]);
});

test('one tool that is named is the only one', async () => {
  const tokenizer = await goldenTokenizer('qwen2');
  const { constraint } = constraintFor(tokenizer, 'llama3', 'refund');
  const write = (text: string): void => {
    let at = constraint;
    for (const id of tokenizer.encode(text)) at = at.accept(id);
  };
  expect(() => write('{"name": "refund", "parameters": {}}')).not.toThrow();
  expect(() => write('{"name": "get_weather"')).toThrow(/may not come/);
  expect(() => toolCallText('llama3', TOOLS, 'rm')).toThrow(/no tool to call/);
});

test('a tool whose schema cannot be held to is named', () => {
  const tools = [
    { type: 'function', function: { name: 'f', parameters: { type: 'string', pattern: 'a' } } },
  ];
  expect(() => toolCallText('hermes', tools)).toThrow(/pattern.*tool=f/);
});

test('a vocabulary that cannot write what has to come says so', () => {
  const texts = ['{', '"', 'name'];
  const bytesOf = (id: number): Uint8Array | null => Buffer.from(texts[id] ?? '');
  const trie = new TokenTrie(texts.length, bytesOf);
  const constraint = constrainTokens(
    { trie, bytesOf, stopTokens: new Set() },
    toolCallText('llama3', TOOLS),
  );
  const at = constraint.accept(0).accept(1).accept(2).accept(1);
  expect(() => at.allowed()).toThrow(/cannot write/);
});

test('the format is the one that the template teaches', () => {
  expect(toolCallFormatOf('… <tool_call> …')).toBe('hermes');
  expect(toolCallFormatOf('… [TOOL_CALLS] …')).toBe('mistral');
  expect(toolCallFormatOf('… <|python_tag|> …')).toBe('llama3');
});

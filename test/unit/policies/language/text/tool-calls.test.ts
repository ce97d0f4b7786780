import { parseToolCalls } from '../../../../../src/policies/language/text/tool-calls';

const TOOLS = ['get_weather', 'refund'];
const callsIn = (
  text: string,
  tools = TOOLS,
): { content: string; calls: (readonly [string, unknown])[] } => {
  const { content, calls } = parseToolCalls(text, tools, 'seed');
  return {
    content,
    calls: calls.map(({ function: called }) => [
      called?.name ?? '',
      JSON.parse(called?.arguments ?? 'null') as unknown,
    ]),
  };
};

test('calls between tags, as Hermes and Qwen write them, and what is said beside', () => {
  const text =
    'I look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich", "n": {"a": 1}}}\n</tool_call>\n<tool_call>{"name":"refund","arguments":{}}</tool_call>';
  expect(callsIn(text)).toEqual({
    content: 'I look.',
    calls: [
      ['get_weather', { city: 'Zürich', n: { a: 1 } }],
      ['refund', {}],
    ],
  });
});

test('a list behind a mark, as Mistral writes it', () => {
  expect(callsIn('[TOOL_CALLS] [{"name": "refund", "arguments": {"id": 7}}]')).toEqual({
    content: '',
    calls: [['refund', { id: 7 }]],
  });
});

test('nothing but an object, as Llama 3.1 writes it', () => {
  expect(callsIn('{"name": "refund", "parameters": {"id": 7}}').calls).toEqual([
    ['refund', { id: 7 }],
  ]);
});

test('what is no call of a tool that there is stays text', () => {
  for (const text of [
    'just text',
    '{"name": "rm", "parameters": {}}',
    '{"name": "refund"}',
    '<tool_call>{"name": "refund", "arguments": </tool_call>',
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    '[TOOL_CALLS] oh',
    '{"answer": 42}',
    '7',
  ]) {
    expect(callsIn(text)).toEqual({ content: text, calls: [] });
  }
  expect(callsIn('{"name": "refund", "parameters": {}}', []).calls).toEqual([]);
});

test('ids differ within an answer, and are the same for the same answer', () => {
  const text = '[{"name":"refund","arguments":{}},{"name":"refund","arguments":{}}]';
  const ids = parseToolCalls(text, TOOLS, 'a').calls.map(({ id }) => id);
  expect(new Set(ids).size).toBe(2);
  expect(parseToolCalls(text, TOOLS, 'a').calls.map(({ id }) => id)).toEqual(ids);
  expect(parseToolCalls(text, TOOLS, 'b').calls.map(({ id }) => id)).not.toEqual(ids);
});

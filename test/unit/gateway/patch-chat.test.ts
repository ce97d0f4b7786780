import { chat } from '../../../src/gateway/protocols/chat/chat';
import { chatPatching } from '../../../src/gateway/protocols/chat/patch-chat';
import { ToolsetInterner } from '../../../src/gateway/toolset-interner';
import { RequestPatch } from '../../../src/schemas/arm';

const TOOLS = '"tools":[{"type":"function","function":{"name":"refund"}}]';

function patched(text: string, patch: object): string {
  const call = chat.parse(text, new ToolsetInterner());
  const result = chatPatching.patch(call, RequestPatch.parse({ model: 'dear', ...patch }));
  // What is read of it is what it says.
  expect(result.request).toEqual(chat.parse(result.text, new ToolsetInterner()).request);
  return result.text;
}

const body = (messages: string, rest = ''): string =>
  `{ "seed":12345678901234567890, "model":"ratchet/r","messages": ${messages}${rest} }`;

test('an arm that only names a model leaves every byte', () => {
  const text = body('[{"role":"user","content":"h\\u00ef"}]');
  expect(patched(text, {})).toBe(text);
});

test('a suffix goes to the end of the system prompt, and becomes it where there is none', () => {
  const suffix = { systemSuffix: 'Be brief.' };
  expect(
    patched(
      body('[{"role":"system","content":"You help." , "x":1.50},{"role":"user","content":"hi"}]'),
      suffix,
    ),
  ).toBe(
    body(
      '[{"role":"system","content":"You help.\\n\\nBe brief." , "x":1.50},{"role":"user","content":"hi"}]',
    ),
  );
  expect(patched(body('[{"role":"user","content":"hi"}]'), suffix)).toBe(
    body('[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]'),
  );
  expect(
    patched(
      body(
        '[{"role":"system","content":[{"type":"text","text":"a"}]},{"role":"user","content":"hi"}]',
      ),
      suffix,
    ),
  ).toContain('[{"type":"text","text":"a"},{"type":"text","text":"Be brief."}]');
});

test('examples come behind the system prompt and before the conversation', () => {
  const examples = [
    { role: 'user', content: 'q' },
    { role: 'assistant', content: 'a' },
  ];
  const shown = '{"role":"user","content":"q"},{"role":"assistant","content":"a"}';
  expect(
    patched(body('[{"role":"developer","content":"d"}, {"role":"user","content":"hi"}]'), {
      examples,
      systemSuffix: 's',
    }),
  ).toBe(
    body(`[{"role":"developer","content":"d\\n\\ns"}, ${shown},{"role":"user","content":"hi"}]`),
  );
  expect(patched(body('[{"role":"system","content":"d"}]'), { examples })).toBe(
    body(`[{"role":"system","content":"d"},${shown}]`),
  );
});

test('a temperature and a choice of tool take the place of what the agent said, or are put in', () => {
  const text = body('[{"role":"user","content":"hi"}]', `,${TOOLS},"temperature":0.70`);
  expect(patched(text, { temperature: 0, toolChoice: { function: 'refund' } })).toBe(
    text
      .replace('0.70', '0')
      .replace(
        '{ "seed"',
        '{"tool_choice":{"type":"function","function":{"name":"refund"}}, "seed"',
      ),
  );
});

test('without tools there is nothing to choose', () => {
  const text = body('[{"role":"user","content":"hi"}]');
  expect(patched(text, { toolChoice: 'none' })).toBe(text);
});

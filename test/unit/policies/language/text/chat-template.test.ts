import {
  createChatTemplate,
  openChatTemplate,
} from '../../../../../src/policies/language/text/chat-template';
import { renderChat, renderPrompt } from '../../../../../src/policies/language/text/render-chat';
import { TokenizerConfig } from '../../../../../src/policies/language/text/tokenizer';
import type { ModelFolder } from '../../../../../src/policies/language/model-folder';
import type { Message } from '../../../../../src/schemas/message';
import { goldenTemplate, goldenTokenizer, TEMPLATES } from '../../../../helpers/text-goldens';

const NO_TOKENS = TokenizerConfig.parse({});

/** Arguments of calls come as JSON from clients; the goldens were made from objects, as templates want them. */
function asClientsSend(messages: readonly Message[]): Message[] {
  return messages.map((message) => ({
    ...message,
    ...(message.tool_calls && {
      tool_calls: message.tool_calls.map((call) => ({
        ...call,
        function: {
          name: call.function?.name ?? '',
          arguments: JSON.stringify(call.function?.arguments),
        },
      })),
    }),
  }));
}

describe.each(TEMPLATES)('%s', (name) => {
  test('text and ids are those of apply_chat_template', async () => {
    const { tokenizer, template, cases } = await goldenTemplate(name);
    expect(cases.length).toBeGreaterThan(4);
    for (const {
      messages,
      tools,
      add_generation_prompt: addGenerationPrompt = false,
      text,
      ids,
    } of cases) {
      const input = { messages: asClientsSend(messages), tools, addGenerationPrompt };
      expect(template.render(input)).toBe(text);
      const got = addGenerationPrompt
        ? renderPrompt({ tokenizer, template }, input)
        : tokenizer.encode(template.render(input));
      expect(got).toEqual(ids);
    }
  });

  test('the mask marks what the model wrote, to the end of its turn', async () => {
    const { tokenizer, template, cases } = await goldenTemplate(name);
    for (const { messages, tools, mask: golden, ids: all } of cases) {
      // This one shows the system's message in the last turn only.
      const isRewritten = name === 'inst' && messages[0]?.role === 'system';
      if (isRewritten) continue;
      const chat = renderChat(
        { tokenizer, template },
        { messages: asClientsSend(messages), tools },
      );
      if (golden !== undefined && chat.ids.length === all.length)
        expect([...chat.mask]).toEqual(golden);
      const written: string[] = [];
      chat.ids.forEach((id, i) => {
        if (chat.mask[i] === 0) return;
        if (chat.mask[i - 1] !== 1) written.push('');
        written.push((written.pop() ?? '') + tokenizer.decode([id], { skipSpecialTokens: false }));
      });
      const turns = messages.filter(({ role }) => role === 'assistant');
      expect(written).toHaveLength(turns.length);
      written.forEach((text, i) => {
        expect(text.endsWith(tokenizer.config.eos_token ?? '')).toBe(true);
        if (typeof turns[i]?.content === 'string' && !turns[i].tool_calls) {
          expect(text.length).toBeGreaterThan(4);
        }
      });
    }
  });
});

test('a template that writes earlier turns differently cannot be derived from, and says so', async () => {
  const tokenizer = await goldenTokenizer('qwen2');
  const template = createChatTemplate(
    "{% for m in messages %}{{ m.role + ':' }}{% if m.role != 'assistant' or loop.last %}{{ m.content }}{% endif %}{% endfor %}",
    tokenizer.config,
  );
  const turn = (role: 'user' | 'assistant', content: string): Message => ({ role, content });
  const messages = [
    turn('user', 'a'),
    turn('assistant', 'b'),
    turn('user', 'c'),
    turn('assistant', 'd'),
  ];
  expect(() => renderChat({ tokenizer, template }, { messages })).toThrow(/generation/);
});

test('a conversation that the template refuses is refused in its words', () => {
  const template = createChatTemplate("{{ raise_exception('only one turn') }}", NO_TOKENS);
  expect(() => template.render({ messages: [{ role: 'user', content: 'a' }] })).toThrow(
    /refused the conversation.*only one turn/,
  );
});

const filesOf = (files: Readonly<Record<string, string>>): ModelFolder => ({
  name: 'test',
  read: async (file) => Buffer.from(files[file] ?? ''),
  open: async () => Promise.reject(new Error('not needed')),
  list: async () => Object.keys(files),
});

test('a template is found in its own file, in the older one, or in tokenizer_config.json, in this order', async () => {
  const messages: Message[] = [{ role: 'user', content: 'a' }];
  const found = async (
    files: Readonly<Record<string, string>>,
    template?: unknown,
  ): Promise<string> => {
    const config = TokenizerConfig.parse(template === undefined ? {} : { chat_template: template });
    return (await openChatTemplate(filesOf(files), config)).render({ messages });
  };
  const jinja = { 'chat_template.jinja': 'jinja' };
  const json = { 'chat_template.json': '{"chat_template": "json"}' };
  expect(await found({ ...jinja, ...json }, 'config')).toBe('jinja');
  expect(await found(json, 'config')).toBe('json');
  expect(await found({}, 'config')).toBe('config');
  const list = [
    { name: 'rag', template: 'rag' },
    { name: 'default', template: 'default' },
  ];
  expect(await found({}, list)).toBe('default');
  await expect(found({}, [{ name: 'rag', template: 'rag' }])).rejects.toThrow(/no chat template/);
  await expect(found({})).rejects.toThrow(/no chat template/);
  await expect(found({ 'chat_template.json': '{}' })).rejects.toMatchObject({ code: 'Integrity' });
});

test('what the model wrote may be all of the text, or end where the template ends', async () => {
  const tokenizer = await goldenTokenizer('qwen2');
  const maskOf = (source: string): number[] => {
    const template = createChatTemplate(source, tokenizer.config);
    const messages: Message[] = [{ role: 'assistant', content: 'one two' }];
    return [...renderChat({ tokenizer, template }, { messages }).mask];
  };
  const all = tokenizer.encode('one two').map(() => 1);
  expect(
    maskOf('{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}'),
  ).toEqual(all);
  expect(maskOf('{% for m in messages %}{{ m.content }}{% endfor %}')).toEqual(all);
});

test('what is no template is refused', () => {
  expect(() => createChatTemplate('{% if x %}', NO_TOKENS)).toThrow(/chat template/);
});

test('variables of the caller reach the template, and the parts of a content are its text', () => {
  const template = createChatTemplate(
    '{% if enable_thinking %}think {% endif %}{{ messages[0].content }}',
    NO_TOKENS,
  );
  const messages: Message[] = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'one' },
        { type: 'text', text: 'two' },
      ],
    },
  ];
  expect(template.render({ messages, variables: { enable_thinking: true } })).toBe(
    'think one\ntwo',
  );
});

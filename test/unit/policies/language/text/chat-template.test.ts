import { createChatTemplate } from '../../../../../src/policies/language/text/chat-template';
import { renderChat, renderPrompt } from '../../../../../src/policies/language/text/render-chat';
import { TokenizerConfig } from '../../../../../src/policies/language/text/tokenizer';
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

import { messageId } from '../../../src/gateway/recording/message-id';
import type { RecordedCall } from '../../../src/gateway/recording/recorder';
import { createRedaction } from '../../../src/privacy/redaction';
import type { Message } from '../../../src/schemas/message';
import { PrivacyConfig } from '../../../src/schemas/privacy-config';
import { recordedCall } from '../gateway/recorded-call';
import { KEY, placeholder } from './redactor';

const redactionOf = (config: object = {}): ReturnType<typeof createRedaction> =>
  createRedaction(PrivacyConfig.parse(config), KEY);

const TOKENS = { prompt: [1, 2], completion: [3], logprobs: [-0.5] };

function callOf(said: readonly string[], overrides: Partial<RecordedCall> = {}): RecordedCall {
  const all = said.map((content): Message => ({ role: 'user', content }));
  const ids = all.map(messageId);
  return recordedCall(
    {
      ...{ context: ids.slice(0, -1), output: ids.at(-1) ?? '' },
      sampled: { kind: 'text', finishReason: 'stop', tokens: TOKENS },
    },
    { messages: new Map(all.map((message, i) => [ids[i] ?? '', message])), ...overrides },
  );
}

describe('a recorded call', () => {
  test('has ids of what its messages say after redaction, in the context and as its answer', () => {
    const { messages, decision } = redactionOf().call(
      callOf(['hello', 'I am bob@x.com', 'hi bob@x.com']),
    );
    expect([...messages.keys()]).toEqual([...messages.values()].map(messageId));
    expect([...messages.keys()]).toEqual([...decision.context, decision.output]);
    expect(messages.get(decision.output)?.content).toBe(`hi ${placeholder('email', 'bob@x.com')}`);
  });

  test('is the same the second time, when its messages are known', () => {
    const redaction = redactionOf();
    const call = callOf(['hello', 'I am bob@x.com', 'hi']);
    expect(redaction.call(call)).toEqual(redaction.call(call));
    expect(redaction.counts()).toEqual(new Map([['desk', new Map([['email', 1]])]]));
  });

  test('with something replaced loses its token ids, and is not trained on', () => {
    const { decision } = redactionOf().call(callOf(['I am bob@x.com', 'hi']));
    expect(decision.sampled).toMatchObject({ tokens: null });
    expect(decision.untrainable).toBe('redacted');
  });

  test('with nothing replaced keeps them', () => {
    const { decision } = redactionOf().call(callOf(['I am bob', 'hi']));
    expect(decision.sampled).toMatchObject({ tokens: TOKENS });
    expect(decision).not.toHaveProperty('untrainable');
  });

  test('of an arm stays something to learn from: the texts are what it learns from', () => {
    const { decision } = redactionOf().call({
      ...callOf(['I am bob@x.com', 'hi']),
      decision: { ...recordedCall().decision },
    });
    expect(decision).not.toHaveProperty('untrainable');
  });

  test('has tools under the hash of what they say after redaction', () => {
    const tools = [
      { type: 'function' as const, function: { name: 'ask', description: 'mail ops@x.com' } },
    ];
    const redaction = redactionOf();
    const first = redaction.call(callOf(['a', 'b'], { tools }));
    expect(JSON.stringify(first.tools)).not.toContain('ops@');
    expect(first.decision.toolset).toMatch(/^[0-9a-f]{64}$/);
    expect(redaction.call(callOf(['a', 'b'], { tools })).tools).toBe(first.tools);
  });

  test('names its user by a pseudonym only', () => {
    const redacted = redactionOf().call(callOf(['a', 'b'], { user: 'Bob Smith' }));
    expect(redacted.decision.user).toBe(placeholder('user', 'Bob Smith'));
    expect(JSON.stringify([redacted, ...redacted.messages])).not.toContain('Smith');
  });
});

describe('names of sessions', () => {
  test('stay as they are unless something is found in them', () => {
    const redaction = redactionOf({ agents: { shy: { hideSessionNames: true } } });
    expect(redaction.sessionName('desk', 'chat-17')).toBe('chat-17');
    expect(redaction.sessionName('desk', 'bob@x.com')).toBe(placeholder('email', 'bob@x.com'));
    expect(redaction.sessionName('shy', 'Bob')).toBe(placeholder('session', 'Bob'));
  });
});

describe('settings of an agent', () => {
  test('go before those of all, kind by kind', () => {
    const redaction = redactionOf({
      kinds: { ip: false },
      keep: ['a@x.com'],
      agents: { open: { kinds: { email: false } }, strict: { kinds: { ip: true }, keep: [] } },
    });
    const text = 'a@x.com b@x.com 203.0.113.7';
    const [b, ip] = [placeholder('email', 'b@x.com'), placeholder('ip', '203.0.113.7')];
    expect(redaction.text('desk', text)).toBe(`a@x.com ${b} 203.0.113.7`);
    expect(redaction.text('open', text)).toBe(text);
    expect(redaction.text('strict', text)).toBe(`${placeholder('email', 'a@x.com')} ${b} ${ip}`);
  });
});

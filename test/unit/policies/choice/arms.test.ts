import { IntegrityError, InvalidInputError } from '../../../../src/errors';
import {
  availableArms,
  decisionArms,
  finishedToolResult,
  policyText,
  requestArmIndices,
  requestText,
  toolCallId,
  toolCallMessage,
} from '../../../../src/policies/choice/arms';
import { ChoiceConfig } from '../../../../src/schemas/choice-config';
import type { Message, Tool } from '../../../../src/schemas/message';

const config = ChoiceConfig.parse({
  arms: [
    { kind: 'tool', name: 'refund', tool: 'refund' },
    { kind: 'tool', name: 'track', tool: 'track_order' },
    { kind: 'tool', name: 'track-fast', tool: 'track_order', arguments: { express: true } },
    { kind: 'tool', name: 'escalate', tool: 'escalate_to_human' },
  ],
});
const tool = (name: string): Tool => ({ type: 'function', function: { name } });
const tools = [tool('escalate_to_human'), tool('unknown'), tool('track_order')];
const sampled = (arm: string, available: number) =>
  ({ kind: 'arm', arm, propensity: 0.5, available }) as const;

describe('the mask', () => {
  it('leaves the arms whose tool is offered, in the policy’s order', () => {
    expect(availableArms(config, tools)).toEqual(['track', 'track-fast', 'escalate']);
    expect(availableArms(config, undefined)).toEqual([]);
  });

  it('is the same object for the same tools array', () => {
    expect(availableArms(config, tools)).toBe(availableArms(config, tools));
  });

  it('is restricted by a tool_choice that names a function', () => {
    const choice = { type: 'function', function: { name: 'track_order' } } as const;
    expect(availableArms(config, tools, choice)).toEqual(['track', 'track-fast']);
    expect(availableArms(config, tools, 'required')).toEqual(['track', 'track-fast', 'escalate']);
  });

  it('refuses tool_choice none in words', () => {
    expect(() => availableArms(config, tools, 'none')).toThrow(InvalidInputError);
    expect(() => availableArms(config, tools, 'none')).toThrow('tool_choice');
  });

  it('passes over tools that are no functions, and refuses a tool_choice of another kind', () => {
    const custom = { type: 'custom', custom: { name: 'track_order' } };
    expect(availableArms(config, [custom, tool('escalate_to_human')])).toEqual(['escalate']);
    expect(() => availableArms(config, tools, { type: 'allowed_tools' })).toThrow('allowed_tools');
  });

  it('is rebuilt from a recorded decision, also when a function had been named', () => {
    expect(decisionArms(config, tools, sampled('escalate', 3))).toBe(availableArms(config, tools));
    expect(decisionArms(config, tools, sampled('track', 2))).toEqual(['track', 'track-fast']);
    expect(() => decisionArms(config, tools, sampled('escalate', 2))).toThrow(IntegrityError);
    expect(() => decisionArms(config, tools, sampled('gone', 3))).toThrow(IntegrityError);
  });
});

describe('the mask of a policy with request arms', () => {
  const router = ChoiceConfig.parse({
    arms: [
      { kind: 'tool', name: 'refund', tool: 'refund' },
      { kind: 'request', name: 'cheap', patch: { model: 'small' } },
      { kind: 'request', name: 'forced', patch: { model: 'small', toolChoice: 'required' } },
      {
        kind: 'request',
        name: 'tracking',
        patch: { model: 'large', toolChoice: { function: 'track_order' } },
      },
    ],
  });
  const all = (): boolean => true;

  it('leaves arms that somebody would answer, whose tools are offered', () => {
    expect(requestArmIndices(router, { tools }, all)).toEqual([1, 2, 3]);
    expect(requestArmIndices(router, {}, all)).toEqual([1]);
    expect(requestArmIndices(router, { tools: [tool('x')] }, all)).toEqual([1, 2]);
    expect(requestArmIndices(router, { tools }, ({ model }) => model === 'large')).toEqual([3]);
  });

  it('lets the agent’s own choice of tool stand', () => {
    expect(requestArmIndices(router, { tools, tool_choice: 'none' }, all)).toEqual([1]);
    expect(requestArmIndices(router, { tools, tool_choice: 'auto' }, all)).toEqual([1, 2, 3]);
    expect(availableArms(router, tools, 'none')).toEqual([]);
  });

  it('is taken from a recorded decision as it stands there, one array for all', () => {
    const named = (arms: string[]) => ({ ...sampled('cheap', arms.length), arms });
    const first = decisionArms(router, tools, named(['refund', 'cheap']));
    expect(first).toEqual(['refund', 'cheap']);
    expect(decisionArms(router, null, named(['refund', 'cheap']))).toBe(first);
    expect(() => decisionArms(router, null, named(['refund']))).toThrow(IntegrityError);
    expect(() => decisionArms(router, null, named(['cheap', 'gone']))).toThrow(IntegrityError);
  });

  it('needs arms of different names', () => {
    const arm = { kind: 'request', name: 'one', patch: { model: 'm' } };
    expect(() => ChoiceConfig.parse({ arms: [arm, arm] })).toThrow('different names');
  });
});

describe('what is read and answered', () => {
  it('reads the context of a request where its features take it', () => {
    const { arms } = config;
    const withContext = ChoiceConfig.parse({ arms, features: { context: true } });
    const messages: Message[] = [
      { role: 'user', content: 'hello' },
      { role: 'assistant', content: 'hi' },
      { role: 'user', content: 'a\u001fb' },
    ];
    expect(policyText(config, messages, tools)).toBe('a\u001fb');
    expect(policyText(withContext, messages, tools).split('\u001f')).toEqual([
      ...['a b', 'turn:1', 'length:3', 'tools:2'],
      ...['tool:escalate_to_human', 'tool:track_order', 'tool:unknown'],
    ]);
    const many = Array.from({ length: 17 }, (_, i) => tool(`t${i}`));
    expect(policyText(withContext, messages, many)).not.toContain('tool:');
  });

  it('reads the last user message', () => {
    const messages: Message[] = [
      { role: 'user', content: 'first' },
      { role: 'assistant', content: 'well' },
      { role: 'user', content: [{ type: 'text', text: 'second' }] },
      { role: 'system', content: 'be brief' },
    ];
    expect(requestText(messages)).toBe('second');
    expect(() => requestText([{ role: 'system', content: 'be brief' }])).toThrow(InvalidInputError);
  });

  it('puts the input into every string of the arguments, as it is', () => {
    const arm = {
      kind: 'tool',
      name: 'a',
      tool: 'b',
      arguments: {
        query: 'say: {{input}} {{input}}',
        nested: { list: ['{{input}}', 1, null, true] },
      },
    } as const;
    const [call] = toolCallMessage(arm, 'cost $& "now"', 'call_1').tool_calls ?? [];
    expect(call?.function?.name).toBe('b');
    expect(JSON.parse(call?.function?.arguments ?? '')).toEqual({
      query: 'say: cost $& "now" cost $& "now"',
      nested: { list: ['cost $& "now"', 1, null, true] },
    });
  });

  it('names equal calls equally and others differently', () => {
    expect(toolCallId(['a', 1])).toBe(toolCallId(['a', 1]));
    expect(toolCallId(['a', 1])).not.toBe(toolCallId(['a', 2]));
    expect(toolCallId(['a', 1])).toMatch(/^call_[0-9a-f]{24}$/);
  });

  it('finds the result of a call that the assistant made, and refuses one that it never made', () => {
    const call = {
      id: 'call_1',
      type: 'function',
      function: { name: 'refund', arguments: '{}' },
    } as const;
    const before: Message[] = [
      { role: 'user', content: 'refund me' },
      { role: 'assistant', tool_calls: [call] },
    ];
    expect(
      finishedToolResult([...before, { role: 'tool', tool_call_id: 'call_1', content: 'done' }]),
    ).toBe('done');
    expect(finishedToolResult(before)).toBeNull();
    expect(() =>
      finishedToolResult([...before, { role: 'tool', tool_call_id: 'call_2', content: 'x' }]),
    ).toThrow(InvalidInputError);
  });
});

import type { Message } from '../../../../src/schemas/message';
import type { SpanOptions } from './trace-body';
import { chatAttributes, request, span, text } from './trace-body';
import type { TracesFixture } from './traces-fixture';
import { createTracesFixture } from './traces-fixture';

// One conversation in every way in which instrumentations write it down: all are read as the same.

const ARGS = '{"city":"Paris"}';
const TOOL = {
  ...{ name: 'weather', description: 'Weather of a city' },
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
};
const call = (id: string, args = ARGS): object => ({
  ...{ id, type: 'function', function: { name: 'weather', arguments: args } },
});
const MESSAGES = [
  { role: 'system', content: 'be kind' },
  { role: 'user', content: 'weather in Paris?' },
  { role: 'assistant', content: '', tool_calls: [call('c1')] },
  { role: 'tool', content: 'rain', tool_call_id: 'c1' },
];
const ANSWER = { role: 'assistant', content: 'rain, and more?', tool_calls: [call('c2')] };

interface Written {
  readonly attributes: object;
  readonly events?: SpanOptions['events'];
  /** Whether it tells of tools. */
  readonly noTools?: true;
}

const COMMON = {
  ...{ 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'm' },
  ...{ 'gen_ai.usage.input_tokens': 12, 'gen_ai.usage.output_tokens': 3, 'user.id': 'u' },
  'gen_ai.request.temperature': 0.5,
};
const AZURE = (name: string, body: object): { name: string; attributes: object } => ({
  ...{ name, attributes: { 'gen_ai.system': 'az', 'gen_ai.event.content': JSON.stringify(body) } },
});
const STRANDS = (name: string, body: object): { name: string; attributes: object } => ({
  ...{ name, attributes: body },
});

const WAYS: Readonly<Record<string, Written>> = {
  'GenAI conventions of now': {
    attributes: {
      ...COMMON,
      'session.id': 'talk',
      'gen_ai.system_instructions': JSON.stringify([text('be kind')]),
      'gen_ai.tool.definitions': JSON.stringify([{ type: 'function', ...TOOL }]),
      'gen_ai.input.messages': JSON.stringify([
        { role: 'user', parts: [text('weather in Paris?')] },
        {
          role: 'assistant',
          parts: [
            { type: 'reasoning', content: 'hm' },
            { type: 'tool_call', id: 'c1', name: 'weather', arguments: { city: 'Paris' } },
          ],
        },
        { role: 'tool', parts: [{ type: 'tool_call_response', id: 'c1', response: 'rain' }] },
      ]),
      'gen_ai.output.messages': JSON.stringify([
        {
          ...{ role: 'assistant', finish_reason: 'tool_calls' },
          parts: [
            text('rain, and more?'),
            { type: 'tool_call', id: 'c2', name: 'weather', arguments: { city: 'Paris' } },
          ],
        },
      ]),
    },
  },
  'events with JSON (GenAI conventions 1.27 to 1.36)': {
    attributes: { ...COMMON, 'session.id': 'talk' },
    noTools: true,
    events: [
      AZURE('gen_ai.system.message', { role: 'system', content: 'be kind' }),
      AZURE('gen_ai.user.message', { role: 'user', content: 'weather in Paris?' }),
      AZURE('gen_ai.assistant.message', { tool_calls: [call('c1')] }),
      AZURE('gen_ai.tool.message', { content: 'rain', id: 'c1' }),
      AZURE('gen_ai.choice', {
        ...{ index: 0, finish_reason: 'tool_calls' },
        message: { content: 'rain, and more?', tool_calls: [call('c2')] },
      }),
    ],
  },
  'events with attributes, in Bedrock’s blocks (Strands Agents)': {
    attributes: { ...COMMON, 'session.id': 'talk' },
    noTools: true,
    events: [
      STRANDS('gen_ai.system.message', { content: 'be kind' }),
      STRANDS('gen_ai.user.message', { content: '[{"text":"weather in Paris?"}]' }),
      STRANDS('gen_ai.assistant.message', {
        content: `[{"toolUse":{"toolUseId":"c1","name":"weather","input":${ARGS}}}]`,
      }),
      STRANDS('gen_ai.tool.message', {
        content: '[{"toolResult":{"toolUseId":"c1","content":[{"text":"rain"}]}}]',
      }),
      STRANDS('gen_ai.choice', {
        finish_reason: 'tool_calls',
        message: `[{"text":"rain, and more?"},{"toolUse":{"toolUseId":"c2","name":"weather","input":${ARGS}}}]`,
      }),
    ],
  },
  OpenLLMetry: {
    attributes: {
      ...{ 'llm.request.type': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'm' },
      ...{ 'gen_ai.usage.prompt_tokens': 12, 'gen_ai.usage.completion_tokens': 3 },
      ...{ 'gen_ai.request.temperature': 0.5 },
      'traceloop.association.properties.session_id': 'talk',
      'traceloop.association.properties.user_id': 'u',
      'gen_ai.prompt.0.role': 'system',
      'gen_ai.prompt.0.content': 'be kind',
      'gen_ai.prompt.1.role': 'user',
      'gen_ai.prompt.1.content': '[{"type":"text","text":"weather in Paris?"}]',
      'gen_ai.prompt.2.role': 'assistant',
      'gen_ai.prompt.2.tool_calls.0.id': 'c1',
      'gen_ai.prompt.2.tool_calls.0.name': 'weather',
      'gen_ai.prompt.2.tool_calls.0.arguments': ARGS,
      'gen_ai.prompt.3.role': 'tool',
      'gen_ai.prompt.3.content': 'rain',
      'gen_ai.prompt.3.tool_call_id': 'c1',
      'gen_ai.completion.0.role': 'assistant',
      'gen_ai.completion.0.content': 'rain, and more?',
      'gen_ai.completion.0.finish_reason': 'tool_calls',
      'gen_ai.completion.0.tool_calls.0.id': 'c2',
      'gen_ai.completion.0.tool_calls.0.name': 'weather',
      'gen_ai.completion.0.tool_calls.0.arguments': ARGS,
      'llm.request.functions.0.name': 'weather',
      'llm.request.functions.0.description': TOOL.description,
      'llm.request.functions.0.parameters': JSON.stringify(TOOL.parameters),
    },
  },
  OpenInference: {
    attributes: {
      ...{ 'openinference.span.kind': 'LLM', 'llm.provider': 'openai', 'llm.model_name': 'm' },
      ...{ 'llm.token_count.prompt': 12, 'llm.token_count.completion': 3, 'user.id': 'u' },
      'llm.invocation_parameters': '{"temperature":0.5}',
      'llm.finish_reason': 'tool_calls',
      'session.id': 'talk',
      'llm.input_messages.0.message.role': 'system',
      'llm.input_messages.0.message.content': 'be kind',
      'llm.input_messages.1.message.role': 'user',
      'llm.input_messages.1.message.contents.0.message_content.type': 'text',
      'llm.input_messages.1.message.contents.0.message_content.text': 'weather in Paris?',
      'llm.input_messages.2.message.role': 'assistant',
      'llm.input_messages.2.message.tool_calls.0.tool_call.id': 'c1',
      'llm.input_messages.2.message.tool_calls.0.tool_call.function.name': 'weather',
      'llm.input_messages.2.message.tool_calls.0.tool_call.function.arguments': ARGS,
      'llm.input_messages.3.message.role': 'tool',
      'llm.input_messages.3.message.content': 'rain',
      'llm.input_messages.3.message.tool_call_id': 'c1',
      'llm.output_messages.0.message.role': 'assistant',
      'llm.output_messages.0.message.content': 'rain, and more?',
      'llm.output_messages.0.message.tool_calls.0.tool_call.id': 'c2',
      'llm.output_messages.0.message.tool_calls.0.tool_call.function.name': 'weather',
      'llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments': ARGS,
      'llm.tools.0.tool.json_schema': JSON.stringify({ type: 'function', function: TOOL }),
    },
  },
  'Vercel’s AI SDK': {
    attributes: {
      ...{ ...COMMON, 'gen_ai.operation.name': '', 'ai.operationId': 'ai.generateText.doGenerate' },
      'ai.telemetry.metadata.sessionId': 'talk',
      'ai.prompt.messages': JSON.stringify([
        { role: 'system', content: 'be kind' },
        { role: 'user', content: [{ type: 'text', text: 'weather in Paris?' }] },
        {
          role: 'assistant',
          content: [
            { type: 'tool-call', toolCallId: 'c1', toolName: 'weather', input: { city: 'Paris' } },
          ],
        },
        {
          role: 'tool',
          content: [
            {
              ...{ type: 'tool-result', toolCallId: 'c1', toolName: 'weather' },
              output: { type: 'text', value: 'rain' },
            },
          ],
        },
      ]),
      'ai.prompt.tools': [
        JSON.stringify({
          ...{ type: 'function', name: 'weather', description: TOOL.description },
          inputSchema: TOOL.parameters,
        }),
      ],
      'ai.response.text': 'rain, and more?',
      'ai.response.toolCalls': JSON.stringify([
        { toolCallId: 'c2', toolName: 'weather', input: ARGS },
      ]),
      'ai.response.finishReason': 'tool_calls',
    },
  },
};

let traces: TracesFixture;

beforeEach(async () => {
  traces = await createTracesFixture();
});
afterEach(() => traces.close());

test.each(Object.entries(WAYS))('%s: messages, tools, answer', async (_, written) => {
  const { attributes, events = [], noTools } = written;
  expect(await traces.send(request(span(attributes, { events })))).toMatchObject({
    ...{ status: 200, body: {} },
  });
  const calls = await traces.calls();
  expect(calls).toMatchObject([
    {
      session: 'live/desk/talk',
      decision: {
        ...{ upstream: { name: 'openai', model: 'm' }, sampling: { temperature: 0.5 } },
        ...{ usage: { promptTokens: 12, completionTokens: 3 } },
        sampled: { finishReason: 'tool_calls' },
      },
    },
  ]);
  expect(calls[0]?.messages).toEqual(MESSAGES);
  expect(calls[0]?.answer).toEqual(ANSWER);
  expect(calls[0]?.tools).toEqual(noTools === true ? null : [{ type: 'function', function: TOOL }]);
});

test('a span that speaks in several ways is taken at its newest word', async () => {
  const attributes = {
    ...chatAttributes(),
    'gen_ai.prompt.0.content': 'older',
    'gen_ai.completion.0.content': 'older',
  };
  await traces.send(request(span(attributes)));
  expect((await traces.calls()).map(({ answer }) => answer.content)).toEqual(['because']);
});

test('several choices are one answer and its alternatives, in the order of their indexes', async () => {
  const choice = (index: number, content: string): { name: string; attributes: object } =>
    AZURE('gen_ai.choice', { index, finish_reason: 'stop', message: { content } });
  await traces.send(request(span(COMMON, { events: [choice(1, 'second'), choice(0, 'first')] })));
  const [one] = await traces.calls();
  expect([one?.answer.content, one?.alternatives.map(({ content }) => content)]).toEqual([
    'first',
    ['second'],
  ]);
});

test('JSON that somebody typed stays what they typed', async () => {
  for (const typed of ['[1, 2]', '{"type":"text"}', '[{"a":1}]', '[]', '[not JSON']) {
    const attributes = {
      ...COMMON,
      'gen_ai.conversation.id': typed,
      'gen_ai.prompt.0.role': 'user',
      'gen_ai.prompt.0.content': typed,
      'gen_ai.completion.0.content': typed,
    };
    const spanId = Buffer.from(typed.padEnd(8).slice(0, 8)).toString('hex');
    await traces.send(request(span(attributes, { spanId })));
  }
  const calls = await traces.calls();
  expect(calls).toHaveLength(5);
  for (const { session, messages, answer } of calls) {
    const typed = session.slice('live/desk/'.length);
    expect([messages, answer.content]).toEqual([[{ role: 'user', content: typed }], typed]);
  }
});

describe('results of tools', () => {
  const asked = (...calls: object[]): object[] => [
    { role: 'user', parts: [text('weather?')] },
    { role: 'assistant', parts: calls },
  ];
  const toolCall = (id: string): object => ({
    ...{ type: 'tool_call', id, name: 'weather', arguments: {} },
  });
  const later = (messages: object[]): object =>
    span(chatAttributes({ 'gen_ai.input.messages': JSON.stringify(messages) }));
  const tool = (attributes: object, spanId = '0f'.repeat(8), traceId = 'ab'.repeat(16)): object =>
    span(attributes, { spanId, traceId });
  const genAi = (id: string, result: unknown): object => ({
    ...{ 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.call.id': id },
    'gen_ai.tool.call.result': result,
  });
  const toolMessages = async (): Promise<Message[]> =>
    (await traces.calls()).flatMap(({ messages }) =>
      messages.filter(({ role }) => role === 'tool'),
    );

  test.each([
    ['GenAI', genAi('c1', 'rain')],
    ['GenAI, with structure', genAi('c1', [{ type: 'text', text: 'rain' }])],
    [
      'OpenInference',
      { 'openinference.span.kind': 'TOOL', 'tool.id': 'c1', 'output.value': 'rain' },
    ],
  ])('come from their own spans where the messages lack them (%s)', async (_, attributes) => {
    // Out of order: the tool's span came after that of the call which holds its result.
    await traces.send(request(later(asked(toolCall('c1'))), tool(attributes)));
    expect(await toolMessages()).toEqual([{ role: 'tool', content: 'rain', tool_call_id: 'c1' }]);
  });

  test('stand behind those that are there, and never twice', async () => {
    const given = {
      role: 'tool',
      parts: [{ type: 'tool_call_response', id: 'c1', response: 'a' }],
    };
    const messages = [...asked(toolCall('c1'), toolCall('c2')), given];
    await traces.send(
      request(
        tool(genAi('c1', 'not this')),
        tool(genAi('c2', 'b'), '0e'.repeat(8)),
        later([...messages, { role: 'user', parts: [text('and?')] }]),
      ),
    );
    const [one] = await traces.calls();
    expect(one?.messages.slice(3).map(({ content }) => content)).toEqual(['a', 'b', 'and?']);
  });

  test('are those of the same trace', async () => {
    const other = tool(genAi('c1', 'of another'), '0f'.repeat(8), '1f'.repeat(16));
    await traces.send(request(other, later(asked(toolCall('c1')))));
    expect(await toolMessages()).toEqual([]);
  });
});

import { exportedLines } from '../../../../src/trajectories/export-conversation';
import { reindexAgent } from '../../../../src/trajectories/reindex';
import type { TracesFixture } from './traces-fixture';
import { createTracesFixture } from './traces-fixture';
import { chatAttributes, request, span, text } from './trace-body';

let traces: TracesFixture;

beforeEach(async () => {
  traces = await createTracesFixture();
});
afterEach(() => traces.close());

test('a model call of a trace is read as one that went through the gateway', async () => {
  expect(await traces.send(request(span(chatAttributes())))).toMatchObject({
    status: 200,
    body: {},
  });
  const [conversation, ...others] = await traces.conversations();
  expect(others).toEqual([]);
  expect(conversation).toMatchObject({ id: 'live/desk/talk-1', agent: 'desk' });
  expect(conversation?.calls).toMatchObject([
    {
      session: 'live/desk/talk-1',
      messages: [
        { role: 'system', content: 'be kind' },
        { role: 'user', content: 'why?' },
      ],
      answer: { role: 'assistant', content: 'because' },
      decision: {
        ...{ policy: null, checkpoint: null, latencyMs: 1_500, sampling: { temperature: 0.5 } },
        upstream: { name: 'openai', model: 'gpt-x-2026', responseId: 'chatcmpl-up' },
        sampled: { kind: 'text', finishReason: 'stop', tokens: null },
        usage: { promptTokens: 12, completionTokens: 3 },
        observed: { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8) },
      },
    },
  ]);
  expect(await reindexAgent(traces.store, 'desk')).toEqual({ hours: 1, added: 0 });
  const lines = conversation === undefined ? [] : [...exportedLines(conversation, new Set())];
  expect(lines).toMatchObject([{ type: 'trajectory', trajectory: { id: 'live/desk/talk-1' } }]);
});

test('what is sent again is read once', async () => {
  const body = request(span(chatAttributes()), span(chatAttributes(), { spanId: 'ef'.repeat(8) }));
  await traces.send(body);
  await traces.conversations();
  await traces.send(body);
  const all = await traces.conversations();
  expect(all.flatMap(({ calls }) => calls)).toHaveLength(2);
});

test('without a conversation’s name the calls of one trace are one session', async () => {
  const attributes = chatAttributes({ 'gen_ai.conversation.id': '' });
  await traces.send(request(span(attributes), span(attributes, { spanId: 'ef'.repeat(8) })));
  await traces.send(request(span(attributes, { traceId: '1f'.repeat(16) })));
  const ids = (await traces.conversations()).map(({ id, calls }) => [id, calls.length]);
  expect(ids.sort()).toEqual([
    [`live/desk/${'1f'.repeat(16)}`, 1],
    [`live/desk/${'ab'.repeat(16)}`, 2],
  ]);
});

test('spans that are no model calls are skipped, and nobody is told', async () => {
  const body = request(
    span({ 'http.request.method': 'GET' }),
    span({ 'gen_ai.operation.name': 'invoke_agent' }),
  );
  expect(await traces.send(body)).toMatchObject({ status: 200, body: {} });
  expect(traces.gateway.counters.observed).toMatchObject({ skipped: 2, recorded: 0, rejected: 0 });
  expect(await traces.conversations()).toEqual([]);
});

test('a model call without what was said is not recorded, and its sender learns why', async () => {
  const silent = chatAttributes({ 'gen_ai.output.messages': '' });
  const { status, body } = await traces.send(request(span(silent)));
  expect([status, body['partialSuccess']]).toEqual([
    200,
    {
      rejectedSpans: '0',
      errorMessage:
        '1 model calls hold no answer and were not recorded: let the instrumentation capture messages',
    },
  ]);
});

test('one span that cannot be recorded does not cost the others', async () => {
  const body = request(
    span(chatAttributes(), { endMs: 0 }),
    span(chatAttributes(), { spanId: '0'.repeat(16) }),
    span(chatAttributes(), { endMs: Date.parse('2020-01-01') }),
    span(chatAttributes(), { endMs: Date.parse('2030-01-01') }),
    { attributes: 'none' },
    span(chatAttributes()),
  );
  const answer = await traces.send(body);
  expect(answer.body['partialSuccess']).toMatchObject({ rejectedSpans: '5' });
  expect(await traces.calls()).toHaveLength(1);
});

test('tools that are called, their results, and several choices keep their form', async () => {
  const attributes = chatAttributes({
    'gen_ai.tool.definitions': JSON.stringify([
      { type: 'function', name: 'refund', parameters: { type: 'object' } },
    ]),
    'gen_ai.input.messages': [
      { role: 'user', parts: [text('money back')] },
      {
        role: 'assistant',
        parts: [{ type: 'tool_call', id: 'c1', name: 'refund', arguments: { eur: 5 } }],
      },
      { role: 'tool', parts: [{ type: 'tool_call_response', id: 'c1', response: 'done' }] },
    ],
    'gen_ai.output.messages': JSON.stringify([
      { role: 'assistant', parts: [text('here it is')], finish_reason: 'stop' },
      { role: 'assistant', parts: [text('so be it')], finish_reason: 'stop' },
    ]),
  });
  await traces.send(request(span(attributes)));
  const [call] = await traces.calls();
  const fn = { name: 'refund', arguments: '{"eur":5}' };
  expect(call?.messages.slice(1)).toEqual([
    { role: 'user', content: 'money back' },
    { role: 'assistant', content: '', tool_calls: [{ id: 'c1', type: 'function', function: fn }] },
    { role: 'tool', content: 'done', tool_call_id: 'c1' },
  ]);
  expect([call?.answer.content, call?.alternatives.map(({ content }) => content)]).toEqual([
    'here it is',
    ['so be it'],
  ]);
  expect(call?.tools).toEqual([
    { type: 'function', function: { name: 'refund', parameters: { type: 'object' } } },
  ]);
});

test('feedback finds an observed call by its session and by the id that the upstream gave', async () => {
  await traces.send(request(span(chatAttributes())));
  for (const said of [
    { session: 'talk-1', value: 1 },
    { response_id: 'chatcmpl-up', value: 0 },
  ]) {
    expect((await traces.gateway.post('/v1/feedback', traces.key, said)).status).toBe(200);
  }
  const [call] = await traces.calls();
  expect(call?.sessionFeedback).toMatchObject([{ value: 1 }]);
  expect(call?.feedback).toMatchObject([{ value: 0 }]);
});

test('a full spool asks the exporter to come again', async () => {
  const full = await createTracesFixture({}, { maxBytes: 1 });
  try {
    await full.send(request(span(chatAttributes())));
    const { status, headers, body } = await full.send(request(span(chatAttributes())));
    expect([status, headers.get('retry-after'), body['code']]).toEqual([503, '5', 14]);
  } finally {
    await full.close();
  }
});

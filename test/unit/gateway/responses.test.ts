import OpenAI from 'openai';
import { serveGateway } from '../../../src/gateway/http/serve';
import { createFixture } from './gateway-fixture';
import { event, openRelay as open, SESSION, UPSTREAM_KEY, type Relay } from './relay-fixture';

const RESPONSES = '/v1/responses';
const CONFIG = {
  upstreams: {
    main: { url: 'https://llm.example/v1', key: { env: 'KEY' }, protocols: ['responses'] },
  },
  models: { 'gpt-5': [{ upstream: 'main' }], alias: [{ upstream: 'main', model: 'gpt-5-x' }] },
};
const openRelay = (): Promise<Relay> => open(RESPONSES, CONFIG);

const said = {
  ...{ type: 'message', id: 'msg_1', status: 'completed', role: 'assistant' },
  content: [{ type: 'output_text', text: 'Héllo.', annotations: [], logprobs: [] }],
};
const called = {
  ...{ type: 'function_call', id: 'fc_1', call_id: 'call_1', status: 'completed' },
  ...{ name: 'refund', arguments: '{"order": 7}' },
};
const response = {
  ...{ id: 'resp_up_1', object: 'response', created_at: 1, status: 'completed', model: 'gpt-5' },
  output: [said],
  usage: { input_tokens: 7, output_tokens: 2, total_tokens: 9 },
};
const ask = (overrides: object = {}): object => ({ model: 'gpt-5', input: 'hi', ...overrides });

const tools = ['refund', 'weather', 'escalate_to_human'].map((name) => ({
  ...{ type: 'function', name, parameters: { type: 'object' }, strict: false },
}));

describe('a call of Responses that an upstream answers', () => {
  test('reaches it byte by byte as it was sent, and is answered the same way', async () => {
    const gateway = await openRelay();
    const body =
      '{ "input":[{"role":"user","content":"h\\u00ef"}],"include":[],"text":{},"tools":[],\n "x": 12345678901234567890,"model":"gpt-5"}';
    const answer = `{"x_unknown": 98765432109876543210, "object":"response","output":${JSON.stringify(response.output)} }`;
    gateway.upstreams.answerJson(answer);
    expect(await gateway.text(body)).toBe(answer);
    const [sent] = gateway.upstreams.requests;
    expect(sent?.body).toBe(body);
    expect(sent?.path).toBe('/responses');
    expect(sent?.headers).toEqual({ authorization: `Bearer ${UPSTREAM_KEY}` });
  });

  test('is recorded with its instructions, messages, calls and their results', async () => {
    const gateway = await openRelay();
    const image = { type: 'input_image', image_url: 'https://x.example/a.png', detail: 'auto' };
    const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'xyz' };
    gateway.upstreams.answerJson({ ...response, output: [reasoning, said, called] });
    await gateway.text(
      ask({
        ...{ model: 'alias', instructions: 'be kind', temperature: 0.5, tools },
        input: [
          { role: 'user', content: [{ type: 'input_text', text: 'look' }, image] },
          { type: 'custom_tool_call', call_id: 'c0', name: 'grep', input: 'x' },
          { ...called, id: 'fc_0' },
          { type: 'custom_tool_call_output', call_id: 'c0', output: 'found' },
          {
            type: 'function_call_output',
            call_id: 'call_1',
            output: [{ type: 'input_text', text: 'ok' }],
          },
          { content: 'and?', role: 'developer' },
        ],
      }),
    );
    expect(gateway.sent()).toMatchObject({ model: 'gpt-5-x' });
    const { decision, context, output, toolsets } = gateway.recorded();
    const refund = { name: 'refund', arguments: '{"order": 7}' };
    expect(context).toEqual([
      { role: 'system', content: 'be kind' },
      { role: 'user', content: [{ type: 'text', text: 'look' }, image] },
      {
        ...{ role: 'assistant', content: null },
        tool_calls: [
          { id: 'c0', type: 'custom', custom: { name: 'grep', input: 'x' } },
          { id: 'call_1', type: 'function', function: refund },
        ],
      },
      { role: 'tool', tool_call_id: 'c0', content: 'found' },
      { role: 'tool', tool_call_id: 'call_1', content: 'ok' },
      { role: 'developer', content: 'and?' },
    ]);
    expect(output).toEqual({
      role: 'assistant',
      content: [
        { type: 'reasoning', summary: [], encrypted_content: 'xyz' },
        { type: 'text', text: 'Héllo.' },
      ],
      tool_calls: [{ id: 'call_1', type: 'function', function: refund }],
    });
    expect(decision).toMatchObject({
      upstream: { name: 'main', model: 'gpt-5-x', responseId: 'resp_up_1' },
      sampled: { kind: 'text', finishReason: 'completed', tokens: null },
      usage: { promptTokens: 7, completionTokens: 2 },
    });
    expect(toolsets.get(decision.toolset ?? '')?.[0]).toEqual({
      type: 'function',
      function: { name: 'refund', parameters: { type: 'object' }, strict: false },
    });
  });

  test.each([
    ['as it came', [said, called]],
    [
      'without names, states and log-probabilities',
      [
        { role: 'assistant', content: [{ type: 'output_text', text: 'Héllo.' }] },
        { type: 'function_call', call_id: 'call_1', name: 'refund', arguments: '{"order": 7}' },
      ],
    ],
    ['as plain text', [{ role: 'assistant', content: 'Héllo.' }, called]],
  ])('gives a message that is the same when its client sends it back %s', async (_, echoed) => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson({ ...response, output: [said, called] });
    gateway.upstreams.answerJson(response);
    await gateway.text(ask());
    const result = { type: 'function_call_output', call_id: 'call_1', output: 'done' };
    await gateway.text(ask({ input: [{ role: 'user', content: 'hi' }, ...echoed, result] }));
    const [first, second] = gateway.recorder.take(SESSION).decisions;
    expect(second?.context.slice(0, 2)).toEqual([...(first?.context ?? []), first?.output]);
  });

  test('may hold tools that only the upstream knows', async () => {
    const gateway = await openRelay();
    const search = { type: 'web_search', user_location: null };
    gateway.upstreams.answerJson({
      ...response,
      output: [{ type: 'web_search_call', id: 'ws_1', status: 'completed', action: {} }, said],
    });
    await gateway.text(ask({ tools: [search], tool_choice: { type: 'web_search' } }));
    const { decision, output, toolsets } = gateway.recorded();
    expect([...toolsets.values()]).toEqual([[search]]);
    expect(output?.content).toEqual([
      { type: 'web_search_call', action: {} },
      { type: 'text', text: 'Héllo.' },
    ]);
    expect(decision.upstream?.itemIds).toEqual(['ws_1', 'msg_1']);
  });

  test('that goes on from an answer, or a conversation, that the upstream holds says so', async () => {
    const gateway = await openRelay();
    for (const rest of [
      { previous_response_id: 'resp_up_0' },
      { conversation: { id: 'conv_1' } },
    ]) {
      gateway.upstreams.answerJson(response);
      await gateway.text(ask(rest));
      expect(gateway.sent()).toEqual(ask(rest));
    }
    const { decisions } = gateway.recorder.take(SESSION);
    expect(decisions.map(({ upstream }) => upstream)).toEqual([
      expect.objectContaining({ responseId: 'resp_up_1', previousId: 'resp_up_0' }),
      expect.objectContaining({ responseId: 'resp_up_1', conversationId: 'conv_1' }),
    ]);
  });

  test('that names pieces of an earlier answer keeps their names', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(response);
    const input = [
      { type: 'item_reference', id: 'fc_1' },
      { id: 'rs_1' },
      { type: 'function_call_output', call_id: 'call_1', output: 'ok' },
    ];
    await gateway.text(ask({ input }));
    expect(gateway.recorded().context[0]).toEqual({
      role: 'assistant',
      content: [
        { type: 'item_reference', id: 'fc_1' },
        { type: 'item_reference', id: 'rs_1' },
      ],
    });
  });

  test('that was cut at its length is recorded with the reason', async () => {
    const gateway = await openRelay();
    const incomplete_details = { reason: 'max_output_tokens' };
    gateway.upstreams.answerJson({ ...response, status: 'incomplete', incomplete_details });
    await gateway.text(ask());
    expect(gateway.recorded().decision.sampled).toMatchObject({
      finishReason: 'max_output_tokens',
    });
  });

  test('that failed under a status of success is handed on, and is no decision', async () => {
    const gateway = await openRelay();
    const failed = { ...response, status: 'failed', output: [], error: { code: 'server_error' } };
    gateway.upstreams.answerJson(failed);
    expect(JSON.parse(await gateway.text(ask()))).toEqual(failed);
    const { decisions, failures } = gateway.recorder.take(SESSION);
    expect(decisions).toEqual([]);
    expect(failures).toMatchObject([{ status: 502 }]);
  });

  test.each([
    ['input[0].role', { input: [{ role: 'robot', content: 'x' }] }],
    ['input[1].call_id', { input: [{ role: 'user' }, { type: 'function_call', name: 'x' }] }],
    ['input[0]', { input: ['x'] }],
    ['input', { input: 7 }],
    ['tools[0].name', { tools: [{ type: 'function' }] }],
    ['tools[0].function', { tools: [{ type: 'web_search', function: 'x' }] }],
    ['background', { background: true }],
    ['model', { model: '' }],
  ])('is refused where %s is wrong', async (param, overrides) => {
    const gateway = await openRelay();
    const reply = await gateway.post(RESPONSES, gateway.session(), ask(overrides));
    expect(reply).toMatchObject({ status: 400, body: { error: { param } } });
    expect(gateway.upstreams.requests).toEqual([]);
  });

  test.each([
    ['no output', { object: 'response' }],
    ['an item that is none', { object: 'response', output: [{ type: 'function_call' }] }],
    ['work in progress', { object: 'response', status: 'in_progress', output: [] }],
  ])('is a 502 where the upstream answers %s', async (_, body) => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(body);
    const reply = await gateway.post(RESPONSES, gateway.session(), ask());
    expect(reply).toMatchObject({ status: 502, body: { error: { code: 'upstream_garbage' } } });
  });
});

describe('a stream of Responses', () => {
  const begin = [
    event('response.created', { response: { ...response, status: 'in_progress', output: [] } }),
    event('response.output_item.added', { output_index: 0, item: { ...said, content: [] } }),
    event('response.output_text.delta', { item_id: 'msg_1', delta: 'Héllo.' }),
    event('response.output_item.done', { output_index: 0, item: said }),
    event('response.output_item.done', { output_index: 1, item: called }),
  ];
  const completed = event('response.completed', {
    response: { ...response, output: [said, called] },
  });

  test('is handed on byte by byte, and recorded from its end', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents([...begin, completed]);
    expect(await gateway.text(ask({ stream: true }))).toBe([...begin, completed].join(''));
    const { decision, output } = gateway.recorded();
    expect(output).toMatchObject({ content: 'Héllo.', tool_calls: [{ id: 'call_1' }] });
    expect(decision).toMatchObject({
      upstream: { responseId: 'resp_up_1', itemIds: ['msg_1', 'fc_1'] },
      usage: { promptTokens: 7, completionTokens: 2 },
    });
  });

  test('is put together from its items where its end does not repeat them', async () => {
    const gateway = await openRelay();
    const bare = event('response.completed', { response: { ...response, output: [] } });
    gateway.upstreams.answerEvents([...begin, bare]);
    await gateway.text(ask({ stream: true }));
    expect(gateway.recorded().output).toMatchObject({
      content: 'Héllo.',
      tool_calls: [{ id: 'call_1' }],
    });
  });

  test('whose events have no names is read all the same', async () => {
    const gateway = await openRelay();
    const bare = [...begin, completed].map((text) => text.replace(/^event: .*\n/, ''));
    gateway.upstreams.answerEvents([...bare, 'data: [DONE]\n\n']);
    expect(await gateway.text(ask({ stream: true }))).toContain('response.completed');
    expect(gateway.recorded().output?.content).toBe('Héllo.');
  });

  test('ends for the agent only when the decision is durable', async () => {
    const gateway = await openRelay();
    let isDurable = false;
    const record = gateway.recorder.record.bind(gateway.recorder);
    gateway.recorder.record = async (call) => {
      await new Promise((wake) => setTimeout(wake, 20));
      isDurable = true;
      return record(call);
    };
    gateway.upstreams.answerEvents([...begin, completed]);
    const seen: string[] = [];
    for await (const bytes of (await gateway.ask(ask({ stream: true }))).body ?? []) {
      seen.push(Buffer.from(bytes).toString());
      expect(seen.at(-1)?.includes('response.completed')).toBe(isDurable);
    }
    expect(seen.length).toBeGreaterThan(1);
  });

  test.each([
    ['response.failed', { response: { ...response, status: 'failed', output: [] } }],
    ['error', { code: 'server_error', message: 'overloaded' }],
  ])('in which the upstream says %s ends with that, and is no decision', async (type, rest) => {
    const gateway = await openRelay();
    const events = [...begin.slice(0, 3), event(type, rest)];
    gateway.upstreams.answerEvents(events);
    expect(await gateway.text(ask({ stream: true }))).toBe(events.join(''));
    const { decisions, failures } = gateway.recorder.take(SESSION);
    expect(decisions).toEqual([]);
    expect(failures).toMatchObject([{ status: 502 }]);
    expect(gateway.log).toEqual([]);
  });

  test('that breaks off ends with an error that its clients read', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents(begin);
    const text = await gateway.text(ask({ stream: true }));
    expect(text.slice(begin.join('').length)).toMatch(/^event: error\ndata: {"type":"error"/);
    expect(text).toContain('"code":"upstream_broke_off"');
    expect(gateway.recorder.take(SESSION).decisions).toEqual([]);
  });
});

describe('a policy behind Responses, as OpenAI’s client sees it', () => {
  const question = { role: 'user' as const, content: 'give me my money back' };

  const open: { close(): Promise<unknown> }[] = [];
  afterEach(async () => {
    for (const server of open.splice(0)) await server.close();
  });

  async function openClient() {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app);
    open.push(server);
    const apiKey = gateway.session();
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
    return { ...gateway, client };
  }
  const body = {
    ...{ model: 'ratchet/support', tools: tools as OpenAI.Responses.FunctionTool[] },
    ...{ input: [question] as OpenAI.Responses.ResponseInputItem[], instructions: 'be kind' },
  };

  test('answers with a tool call, then with text, and its decision is the answer’s', async () => {
    const { client, recorder } = await openClient();
    const first = await client.responses.create(body);
    expect(first).toMatchObject({ object: 'response', status: 'completed', output_text: '' });
    expect(first.instructions).toBe('be kind');
    expect(first.tools).toEqual(tools);
    const [call] = first.output;
    if (call?.type !== 'function_call') throw new Error('no call');
    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'ok' };
    const second = await client.responses.create({ ...body, input: [question, call, result] });
    expect(second.output_text).toBe('done');
    const { decisions, messages } = recorder.take(SESSION);
    expect(decisions.map(({ id }) => id)).toEqual([first.id]);
    expect(first.id).toMatch(/^resp_/);
    expect(messages.get(decisions[0]?.context[0] ?? '')).toEqual({
      role: 'system',
      content: 'be kind',
    });
  });

  test('takes a reference to an item of its answer for the item', async () => {
    const { client, policies } = await openClient();
    const first = await client.responses.create(body);
    const [call] = first.output;
    if (call?.type !== 'function_call') throw new Error('no call');
    const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'ok' };
    const reference = { type: 'item_reference' as const, id: call.id ?? '' };
    await client.responses.create({ ...body, input: [question, reference, result] });
    const [, , answered] = policies.calls.at(-1)?.request.messages ?? [];
    expect(answered).toEqual({
      ...{ role: 'assistant', content: null },
      tool_calls: [
        { id: call.call_id, type: 'function', function: { name: call.name, arguments: '{}' } },
      ],
    });
  });

  test('streams what it answers without a stream', async () => {
    const { client, recorder } = await openClient();
    const whole = await client.responses.create(body);
    const stream = client.responses.stream(body);
    const types: string[] = [];
    const numbers: number[] = [];
    for await (const { type, sequence_number } of stream) {
      types.push(type);
      numbers.push(sequence_number);
    }
    expect(numbers).toEqual(types.map((_, i) => i));
    expect(types).toEqual([
      ...['response.created', 'response.in_progress', 'response.output_item.added'],
      ...['response.function_call_arguments.delta', 'response.function_call_arguments.done'],
      ...['response.output_item.done', 'response.completed'],
    ]);
    expect((await stream.finalResponse()).output).toMatchObject(whole.output);
    expect(recorder.take(SESSION).decisions).toHaveLength(1); // one answer, asked for twice
  });

  test('streams text as text', async () => {
    const { client } = await openClient();
    const call = { type: 'function_call' as const, call_id: 'c', name: 'refund', arguments: '{}' };
    const result = { type: 'function_call_output' as const, call_id: 'c', output: 'ok' };
    const stream = client.responses.stream({ ...body, input: [question, call, result] });
    let text = '';
    stream.on('response.output_text.delta', ({ delta }) => (text += delta));
    expect((await stream.finalResponse()).output_text).toBe('done');
    expect(text).toBe('done');
  });

  test('holds no conversations, and says so', async () => {
    const { client } = await openClient();
    const asked = client.responses.create({ ...body, previous_response_id: 'resp_1' });
    await expect(asked).rejects.toMatchObject({ status: 400, code: 'previous_response_not_found' });
  });

  test('may be given feedback on under the answer’s id', async () => {
    const gateway = await createFixture();
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const { body: answer } = await gateway.post(RESPONSES, key, body);
    const reply = await gateway.post('/v1/feedback', key, { response_id: answer.id, value: true });
    expect(reply).toMatchObject({ status: 200, body: { decision: answer.id } });
  });
});

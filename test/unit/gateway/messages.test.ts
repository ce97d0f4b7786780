import { createFixture } from './gateway-fixture';
import { event, openRelay as open, SESSION, UPSTREAM_KEY, type Relay } from './relay-fixture';

const MESSAGES = '/v1/messages';
const CONFIG = {
  upstreams: {
    main: { url: 'https://claude.example/v1', key: { env: 'KEY' }, protocols: ['messages'] },
  },
  models: {
    claude: [{ upstream: 'main' }],
    alias: [{ upstream: 'main', model: 'claude-opus-5' }],
  },
};
const openRelay = (): Promise<Relay> => open(MESSAGES, CONFIG);

const usage = {
  input_tokens: 5,
  cache_read_input_tokens: 2,
  cache_creation_input_tokens: 4,
  output_tokens: 3,
};
const thought = { type: 'thinking', thinking: 'hm', signature: 's1' };
const called = { type: 'tool_use', id: 'toolu_1', name: 'refund', input: { order: 7 } };
const message = {
  ...{ id: 'msg_up_1', type: 'message', role: 'assistant', model: 'claude', stop_sequence: null },
  content: [{ type: 'text', text: 'Héllo.', citations: null }],
  ...{ stop_reason: 'end_turn', usage },
};
const ask = (overrides: object = {}): object => ({
  ...{ model: 'claude', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] },
  ...overrides,
});
const tools = ['refund', 'weather', 'escalate_to_human'].map((name) => ({
  ...{ name, description: 'x', input_schema: { type: 'object' } },
}));
const REFUND = {
  ...{ id: 'toolu_1', type: 'function' },
  function: { name: 'refund', arguments: '{"order":7}' },
};

describe('a call of Messages that an upstream answers', () => {
  test('reaches it byte by byte under its key, with what the client says of the protocol', async () => {
    const gateway = await openRelay();
    const body =
      '{ "messages":[{"role":"user","content":"h\\u00ef"}],\n "x": 12345678901234567890,"model":"claude"}';
    const answer = `{"x_unknown": 98765432109876543210, "content":[],"usage":{} }`;
    gateway.upstreams.answerJson(answer);
    const headers = { 'anthropic-version': '2026-10-21', 'anthropic-beta': 'message-threads' };
    expect(await gateway.text(body, { ...headers, 'x-secret': 's' })).toBe(answer);
    const [sent] = gateway.upstreams.requests;
    expect(sent?.body).toBe(body);
    expect(sent?.path).toBe('/messages');
    expect(sent?.headers).toEqual({ ...headers, 'x-api-key': UPSTREAM_KEY });
  });

  test('may come with its key in x-api-key, and names its request as Anthropic does', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(message);
    const response = await gateway.app.request(MESSAGES, {
      ...{ method: 'POST', headers: { 'x-api-key': gateway.session() } },
      body: JSON.stringify(ask()),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('request-id')).toMatch(/^req_/);
  });

  test('is recorded with its system text, messages, thoughts, calls and their results', async () => {
    const gateway = await openRelay();
    const image = { type: 'image', source: { type: 'url', url: 'https://x.example/a.png' } };
    const cached = { cache_control: { type: 'ephemeral' } };
    const results = [
      { type: 'tool_result', tool_use_id: 'toolu_1', content: 'no', is_error: true },
      {
        type: 'tool_result',
        tool_use_id: 'toolu_2',
        content: [{ type: 'text', text: 'ok' }, image],
      },
      { type: 'text', text: 'and?', ...cached },
    ];
    gateway.upstreams.answerJson({ ...message, content: [thought, ...message.content, called] });
    await gateway.text(
      ask({
        ...{ model: 'alias', temperature: 0.5, tools: [{ ...tools[0], ...cached }] },
        system: [{ type: 'text', text: 'be kind', ...cached }],
        messages: [
          { role: 'user', content: [{ type: 'text', text: 'look' }, image] },
          { role: 'assistant', content: [thought, called, { ...called, id: 'toolu_2' }] },
          { role: 'user', content: results },
        ],
      }),
    );
    expect(gateway.sent()).toMatchObject({ model: 'claude-opus-5' });
    const { decision, context, output, toolsets } = gateway.recorded();
    expect(context).toEqual([
      { role: 'system', content: 'be kind' },
      { role: 'user', content: [{ type: 'text', text: 'look' }, image] },
      {
        ...{ role: 'assistant', content: [thought] },
        tool_calls: [REFUND, { ...REFUND, id: 'toolu_2' }],
      },
      { role: 'tool', tool_call_id: 'toolu_1', content: 'no', is_error: true },
      { role: 'tool', tool_call_id: 'toolu_2', content: [{ type: 'text', text: 'ok' }, image] },
      { role: 'user', content: 'and?' },
    ]);
    expect(output).toEqual({
      ...{ role: 'assistant', content: [thought, { type: 'text', text: 'Héllo.' }] },
      tool_calls: [REFUND],
    });
    expect(decision).toMatchObject({
      upstream: { name: 'main', model: 'claude-opus-5', responseId: 'msg_up_1' },
      sampled: { kind: 'text', finishReason: 'end_turn', tokens: null },
      usage: { promptTokens: 11, completionTokens: 3, cacheReadTokens: 2, cacheWriteTokens: 4 },
    });
    expect([...toolsets.values()]).toEqual([
      [
        {
          type: 'function',
          function: { name: 'refund', description: 'x', parameters: { type: 'object' } },
        },
      ],
    ]);
  });

  test.each([
    ['as it came', [...message.content, called]],
    [
      'as plain text',
      [
        { type: 'text', text: 'Héllo.' },
        { ...called, caller: { type: 'direct' } },
      ],
    ],
  ])('gives a message that is the same when its client sends it back %s', async (_, echoed) => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson({ ...message, content: [...message.content, called] });
    gateway.upstreams.answerJson(message);
    await gateway.text(ask());
    const result = { type: 'tool_result', tool_use_id: 'toolu_1' };
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'hi' }] },
      { role: 'assistant', content: echoed },
      { role: 'user', content: [result] },
    ];
    await gateway.text(ask({ messages }));
    const [first, second] = gateway.recorder.take(SESSION).decisions;
    expect(second?.context.slice(0, 2)).toEqual([...(first?.context ?? []), first?.output]);
  });

  test('may hold tools that the upstream runs itself', async () => {
    const gateway = await openRelay();
    const search = { type: 'web_search_20250305', name: 'web_search', max_uses: 2 };
    const ran = { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: {} };
    gateway.upstreams.answerJson({ ...message, content: [ran, ...message.content] });
    await gateway.text(ask({ tools: [search, tools[0]], tool_choice: { type: 'any' } }));
    const { output, toolsets } = gateway.recorded();
    expect([...toolsets.values()][0]?.[0]).toEqual(search);
    expect(output).toEqual({
      ...{ role: 'assistant', content: [ran, { type: 'text', text: 'Héllo.' }] },
    });
  });

  test('that goes on in a thread says from which answer', async () => {
    const gateway = await openRelay();
    const threads = [{ type: 'create' }, { type: 'continue', previous_message_id: 'msg_up_0' }];
    for (const thread of threads) {
      gateway.upstreams.answerJson(message);
      await gateway.text(ask({ thread }));
      expect(gateway.sent()).toEqual(ask({ thread }));
    }
    const [first, second] = gateway.recorder.take(SESSION).decisions;
    expect(first?.upstream).not.toHaveProperty('previousId');
    expect(second?.upstream).toMatchObject({ responseId: 'msg_up_1', previousId: 'msg_up_0' });
  });

  test('keeps the upstream’s error to its last detail', async () => {
    const gateway = await openRelay();
    const body = {
      type: 'error',
      error: { type: 'not_found_error', message: 'x', details: { error_code: 'thread_not_found' } },
      request_id: 'req_up',
    };
    gateway.upstreams.answerJson(body, { status: 404, headers: { 'request-id': 'req_up' } });
    const reply = await gateway.post(MESSAGES, gateway.session(), ask());
    expect(reply).toMatchObject({ status: 404, body });
    expect(reply.headers.get('x-ratchet-upstream-request-id')).toBe('req_up');
  });

  test.each([
    ['messages[0].role', { messages: [{ role: 'robot', content: 'x' }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    [
      'messages[0].content[1].tool_use_id',
      {
        messages: [
          { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'tool_result' }] },
        ],
      },
    ],
    [
      'messages[0].content[0].name',
      { messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'a' }] }] },
    ],
    ['messages', { messages: [] }],
    ['tools[0].name', { tools: [{ input_schema: {} }] }],
    ['tools[0].function', { tools: [{ type: 'function', name: 'x' }] }],
    ['tools[0].function', { tools: [{ type: 'web_search', name: 'x', function: 'x' }] }],
  ])('is refused in Anthropic’s shape where %s is wrong', async (param, overrides) => {
    const gateway = await openRelay();
    const reply = await gateway.post(MESSAGES, gateway.session(), ask(overrides));
    expect(reply).toMatchObject({
      status: 400,
      body: {
        type: 'error',
        error: { type: 'invalid_request_error', details: { error_code: 'invalid_request', param } },
        request_id: reply.headers.get('request-id'),
      },
    });
    expect(gateway.upstreams.requests).toEqual([]);
  });

  test('without a key is refused in Anthropic’s shape', async () => {
    const gateway = await openRelay();
    const reply = await gateway.post(MESSAGES, null, ask());
    expect(reply).toMatchObject({ status: 401, body: { error: { type: 'authentication_error' } } });
  });

  test.each([
    ['no content', { type: 'message' }],
    ['a block that is none', { content: [{ type: 'tool_use' }] }],
    ['blocks without a type', { content: [{}] }],
  ])('is a 502 where the upstream answers %s', async (_, body) => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(body);
    const reply = await gateway.post(MESSAGES, gateway.session(), ask());
    expect(reply).toMatchObject({
      status: 502,
      body: { error: { type: 'api_error', details: { error_code: 'upstream_garbage' } } },
    });
  });
});

describe('a stream of Messages', () => {
  const delta = (index: number, rest: object): string =>
    event('content_block_delta', { index, delta: rest });
  const start = (index: number, block: object): string =>
    event('content_block_start', { index, content_block: block });
  const stop = (index: number): string => event('content_block_stop', { index });
  const tool = { type: 'tool_use', id: 'toolu_1', name: 'refund', input: {} };
  const citation = { type: 'char_location', cited_text: 'x' };
  const begin = [
    event('message_start', {
      message: {
        ...message,
        content: [],
        stop_reason: null,
        usage: { ...usage, output_tokens: 1 },
      },
    }),
    event('ping'),
    start(0, { type: 'thinking', thinking: '', signature: '' }),
    ...[
      delta(0, { type: 'thinking_delta', thinking: 'h' }),
      delta(0, { type: 'thinking_delta', thinking: 'm' }),
    ],
    ...[delta(0, { type: 'signature_delta', signature: 's1' }), stop(0)],
    start(1, { type: 'text', text: '' }),
    ...[
      delta(1, { type: 'text_delta', text: 'Hé' }),
      delta(1, { type: 'text_delta', text: 'llo.' }),
    ],
    ...[delta(1, { type: 'citations_delta', citation }), stop(1)],
    ...[start(2, tool), start(3, { ...tool, id: 'toolu_2' })],
    ...[
      delta(2, { type: 'input_json_delta', partial_json: '' }),
      delta(3, { type: 'input_json_delta', partial_json: '{"a": ' }),
    ],
    ...[
      delta(2, { type: 'input_json_delta', partial_json: '{"order": 7}' }),
      delta(3, { type: 'input_json_delta', partial_json: '[1]}' }),
    ],
    ...[stop(2), stop(3)],
  ];
  const ended = event('message_delta', {
    ...{ delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 9, input_tokens: null } },
  });
  const end = [ended, event('message_stop')];

  test('is handed on byte by byte, and put together from its pieces', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents([...begin, ...end]);
    expect(await gateway.text(ask({ stream: true }))).toBe([...begin, ...end].join(''));
    const { decision, output } = gateway.recorded();
    expect(output).toEqual({
      role: 'assistant',
      content: [thought, { type: 'text', text: 'Héllo.', citations: [citation] }],
      tool_calls: [
        REFUND,
        { ...REFUND, id: 'toolu_2', function: { name: 'refund', arguments: '{"a":[1]}' } },
      ],
    });
    expect(decision).toMatchObject({
      upstream: { responseId: 'msg_up_1' },
      sampled: { finishReason: 'tool_use' },
      usage: { promptTokens: 11, completionTokens: 9, cacheReadTokens: 2, cacheWriteTokens: 4 },
    });
  });

  test('may be cut anywhere by the network, also within a character', async () => {
    const gateway = await openRelay();
    const bytes = Buffer.from([...begin, ...end].join(''));
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
    gateway.upstreams.answer({ headers: { 'content-type': 'text/event-stream' }, chunks: single });
    expect(await gateway.text(ask({ stream: true }))).toBe(bytes.toString());
    expect(gateway.recorded().output?.tool_calls).toHaveLength(2);
  });

  test('that was cut at its length keeps the arguments that are no JSON', async () => {
    const gateway = await openRelay();
    const events = [start(0, tool), delta(0, { type: 'input_json_delta', partial_json: '{"or' })];
    gateway.upstreams.answerEvents([
      ...[...events, event('message_delta', { delta: { stop_reason: 'max_tokens' } })],
    ]);
    await gateway.text(ask({ stream: true }));
    const { decision, output } = gateway.recorded();
    expect(output?.tool_calls?.[0]?.function?.arguments).toBe('{"or');
    expect(decision.usage).toBeNull();
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
    gateway.upstreams.answerEvents([...begin, ...end]);
    for await (const bytes of (await gateway.ask(ask({ stream: true }))).body ?? []) {
      const text = Buffer.from(bytes).toString();
      expect(/stop_reason":"tool_use|message_stop/.test(text)).toBe(isDurable);
    }
    expect(isDurable).toBe(true);
  });

  test('in which the upstream says that it failed ends with that, and is no decision', async () => {
    const gateway = await openRelay();
    const failed = event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } });
    gateway.upstreams.answerEvents([...begin, failed]);
    expect(await gateway.text(ask({ stream: true }))).toBe([...begin, failed].join(''));
    const { decisions, failures } = gateway.recorder.take(SESSION);
    expect([decisions, failures]).toMatchObject([[], [{ status: 502 }]]);
  });

  test('of blocks that are none ends with an error event, and is over', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents([start(0, {}), ...end]);
    const text = await gateway.text(ask({ stream: true }));
    expect(text).toMatch(/event: error\n.*"error_code":"upstream_garbage".*\n\n$/);
    expect(text).not.toContain('message_stop');
    expect(gateway.upstreams.health.status('main').running).toBe(0);
  });

  test('that breaks off ends with an error event in Anthropic’s shape', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents(begin);
    const text = (await gateway.text(ask({ stream: true }))).slice(begin.join('').length);
    expect(text).toMatch(/^event: error\ndata: {"type":"error","error":{"type":"api_error"/);
    expect(text).toContain('upstream_broke_off');
    expect(gateway.recorder.take(SESSION).decisions).toEqual([]);
  });
});

describe('a policy behind Messages', () => {
  const body = { ...ask({ tools }), model: 'ratchet/support' };

  test('answers with a tool call, then with text, and its decision is the answer’s', async () => {
    const gateway = await createFixture();
    const key = gateway.session();
    const { body: first } = await gateway.post(MESSAGES, key, body);
    const [call] = first['content'] as { id: string; name: string }[];
    expect(first).toMatchObject({
      ...{ type: 'message', role: 'assistant', stop_reason: 'tool_use', stop_sequence: null },
      content: [{ type: 'tool_use', input: {} }],
      usage: { input_tokens: 1, output_tokens: 1 },
    });
    const result = { type: 'tool_result', tool_use_id: call?.id, content: 'ok' };
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: first['content'] },
      { role: 'user', content: [result] },
    ];
    const { body: second } = await gateway.post(MESSAGES, key, { ...body, messages });
    expect(second).toMatchObject({ content: [{ type: 'text', text: 'done' }] });
    const { decisions } = gateway.recorder.take(SESSION);
    expect(decisions.map(({ id }) => id)).toEqual([first.id]);
    expect(first.id).toMatch(/^msg_/);
  });

  test('streams the events of its answer in their order', async () => {
    const gateway = await open(MESSAGES, { upstreams: {}, models: {} });
    const text = await gateway.text({ ...body, stream: true });
    const names = [...text.matchAll(/^event: (\w+)\ndata: {"type":"(\w+)"/gm)];
    expect(names.map(([, name]) => name)).toEqual([
      ...['message_start', 'content_block_start', 'content_block_delta', 'content_block_stop'],
      ...['message_delta', 'message_stop'],
    ]);
    expect(names.every(([, name, type]) => name === type)).toBe(true);
  });

  test('holds no threads, and says it so that the client sends the whole conversation', async () => {
    const gateway = await createFixture();
    const thread = { type: 'continue', previous_message_id: 'msg_1' };
    const reply = await gateway.post(MESSAGES, gateway.session(), { ...body, thread });
    expect(reply).toMatchObject({
      status: 404,
      body: { error: { type: 'not_found_error', details: { error_code: 'thread_not_found' } } },
    });
  });

  test.each([
    [
      { type: 'tool', name: 'weather' },
      { type: 'function', function: { name: 'weather' } },
    ],
    [{ type: 'any' }, 'required'],
    [{ type: 'auto', disable_parallel_tool_use: true }, 'auto'],
  ])('reads tool_choice %j', async (tool_choice, expected) => {
    const gateway = await createFixture();
    await gateway.post(MESSAGES, gateway.session(), { ...body, tool_choice });
    expect(gateway.policies.calls[0]?.request.tool_choice).toEqual(expected);
  });
});

import { UpstreamError } from '../../../src/gateway/upstreams/upstream';
import { openRelay as open, SESSION, UPSTREAM_KEY as KEY, type Relay } from './relay-fixture';

const CHAT = '/v1/chat/completions';

const CONFIG = {
  upstreams: {
    main: { url: 'https://llm.example/v1/', key: { env: 'KEY' } },
    vllm: { url: 'http://vllm.example/v1', tokenIds: true },
  },
  models: {
    'gpt-5': [{ upstream: 'main' }],
    alias: [{ upstream: 'main', model: 'gpt-5-2026-10-01' }],
    open: [{ upstream: 'vllm', model: 'qwen' }],
  },
};

const completion = {
  ...{ id: 'chatcmpl-up-1', object: 'chat.completion', created: 1, model: 'gpt-5' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
};

function ask(overrides: object = {}): object {
  return { model: 'gpt-5', messages: [{ role: 'user', content: 'hi' }], ...overrides };
}

const openRelay = (): Promise<Relay> => open(CHAT, CONFIG);

const chunk = (delta: object, finishReason: string | null = null, rest: object = {}): string =>
  `data: ${JSON.stringify({
    ...{ id: 'chatcmpl-up-2', object: 'chat.completion.chunk', created: 1, model: 'gpt-5' },
    choices: [{ index: 0, delta, finish_reason: finishReason, ...rest }],
  })}\n\n`;
const usageChunk = `data: ${JSON.stringify({
  ...{ id: 'chatcmpl-up-2', object: 'chat.completion.chunk', choices: [] },
  usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
})}\n\n`;
const DONE = 'data: [DONE]\n\n';

describe('a call that an upstream answers', () => {
  test('reaches it byte by byte as it was sent, under the upstream’s key and without the agent’s', async () => {
    const gateway = await openRelay();
    const body =
      '{ "messages":[{"role":"user","content":"h\\u00ef"}],\n "seed": 12345678901234567890,"x_new":{"a":1.50},"model":"gpt-5"}';
    gateway.upstreams.answerJson(completion);
    await gateway.text(body, { 'x-secret': 's', cookie: 'c', 'openai-beta': 'b=1' });
    const [sent] = gateway.upstreams.requests;
    expect(sent?.body).toBe(body);
    expect(sent?.upstream.url).toBe('https://llm.example/v1');
    expect(sent?.path).toBe('/chat/completions');
    expect(sent?.headers).toEqual({ authorization: `Bearer ${KEY}`, 'openai-beta': 'b=1' });
  });

  test('asks for the model by the name that it has there', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(completion);
    await gateway.text(ask({ model: 'alias' }));
    expect(JSON.parse(gateway.upstreams.requests[0]?.body ?? '')).toEqual(
      ask({ model: 'gpt-5-2026-10-01' }),
    );
  });

  test('is answered byte by byte as the upstream did, and told what the upstream says of limits', async () => {
    const gateway = await openRelay();
    const body = `{"id":"a", "x_unknown": 98765432109876543210,"choices":${JSON.stringify(completion.choices)} }`;
    gateway.upstreams.answerJson(body, {
      headers: {
        ...{ 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'up-7' },
        ...{ 'x-ratelimit-remaining-requests': '3', 'set-cookie': 'a=b', 'content-encoding': 'x' },
      },
    });
    const token = gateway.session();
    const response = await gateway.app.request(CHAT, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${token}` } },
      body: JSON.stringify(ask()),
    });
    expect(await response.text()).toBe(body);
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'x-ratelimit-remaining-requests': '3',
      'x-ratchet-upstream-request-id': 'up-7',
    });
    expect(headers).not.toHaveProperty('set-cookie');
    expect(headers).not.toHaveProperty('content-encoding');
  });

  test('is recorded with the upstream, its name for the answer, and the usage', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(completion);
    await gateway.text(ask({ model: 'alias' }));
    const { decisions, messages } = gateway.recorder.take(SESSION);
    expect(decisions).toHaveLength(1);
    expect(decisions[0]).toMatchObject({
      ...{ policy: null, checkpoint: null },
      upstream: { name: 'main', model: 'gpt-5-2026-10-01', responseId: 'chatcmpl-up-1' },
      sampled: { kind: 'text', finishReason: 'stop', tokens: null },
      usage: { promptTokens: 7, completionTokens: 2 },
    });
    expect(messages.get(decisions[0]?.output ?? '')).toEqual(completion.choices[0]?.message);
  });

  test('with several choices is recorded with all of them', async () => {
    const gateway = await openRelay();
    const choices = ['a', 'b'].map((content, index) => ({
      ...{ index, finish_reason: 'stop', message: { role: 'assistant', content } },
    }));
    gateway.upstreams.answerJson({ ...completion, choices });
    await gateway.text(ask({ n: 2 }));
    const { decisions, messages } = gateway.recorder.take(SESSION);
    const [decision] = decisions;
    expect(
      [decision?.output, ...(decision?.alternatives ?? [])].map(
        (id) => messages.get(id ?? '')?.content,
      ),
    ).toEqual(['a', 'b']);
  });

  test('may be as loose as real clients send it, and reaches the upstream so', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(completion);
    const calls = [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }];
    const body = ask({
      ...{ tools: [], tool_choice: 'required', response_format: { type: 'json_object' } },
      ...{ stream: null, stream_options: null, user: null },
      messages: [
        { role: 'user', name: 'ann', content: [{ type: 'text', text: 'a' }] },
        { role: 'assistant', content: null, provider_specific_fields: { x: null } },
        { role: 'assistant', tool_calls: calls },
        { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'r' }] },
      ],
    });
    await gateway.text(body);
    expect(gateway.sent()).toEqual(body);
    const { context } = gateway.recorded();
    expect(context[2]).toEqual({ role: 'assistant', tool_calls: calls });
  });

  test('with log-probabilities that the agent asked for keeps them', async () => {
    const gateway = await openRelay();
    const logprobs = { content: [{ token: 'He', logprob: -0.5, bytes: null, top_logprobs: [] }] };
    const answer = { ...completion, choices: [{ ...completion.choices[0], logprobs }] };
    gateway.upstreams.answerJson(answer);
    expect(JSON.parse(await gateway.text(ask({ logprobs: true })))).toEqual(answer);
  });

  test('streamed with several choices is recorded with all of them, whatever their order', async () => {
    const gateway = await openRelay();
    const piece = (index: number, content: string, end: string | null = null): string =>
      chunk({ content }, end, { index });
    gateway.upstreams.answerEvents([
      ...[piece(1, 'b'), piece(0, 'a'), piece(1, 'B', 'stop'), piece(0, 'A', 'stop'), DONE],
    ]);
    await gateway.text(ask({ n: 2, stream: true }));
    const { decision, output, messages } = gateway.recorded();
    const [other] = decision.alternatives ?? [];
    expect([output?.content, messages.get(other ?? '')?.content]).toEqual(['aA', 'bB']);
  });

  test('is no decision where the upstream says in its stream that it failed', async () => {
    const gateway = await openRelay();
    const failed = `data: ${JSON.stringify({ error: { message: 'overloaded', code: 502 } })}\n\n`;
    gateway.upstreams.answerEvents([chunk({ content: 'half' }), failed]);
    const text = await gateway.text(ask({ stream: true }));
    expect(text.endsWith(failed)).toBe(true);
    const { decisions, failures } = gateway.recorder.take(SESSION);
    expect([decisions, failures]).toMatchObject([[], [{ status: 502 }]]);
  });

  test('may offer and call tools that are no functions', async () => {
    const gateway = await openRelay();
    const calls = [{ id: 'c1', type: 'custom', custom: { name: 'grep', input: 'x' } }];
    const message = { role: 'assistant', content: null, tool_calls: calls };
    gateway.upstreams.answerJson({
      ...{ ...completion, choices: [{ index: 0, message, finish_reason: 'tool_calls' }] },
    });
    const tools = [{ type: 'custom', custom: { name: 'grep' } }];
    const body = ask({ tools, tool_choice: { type: 'allowed_tools', allowed_tools: { tools } } });
    await gateway.text(body);
    expect(JSON.parse(gateway.upstreams.requests[0]?.body ?? '')).toEqual(body);
    const { decisions, messages, toolsets } = gateway.recorder.take(SESSION);
    expect(messages.get(decisions[0]?.output ?? '')?.tool_calls).toEqual(calls);
    expect([...toolsets.values()]).toEqual([tools]);
  });

  test.each([
    ['tools[0].function', { tools: [{ type: 'function' }] }],
    ['tool_choice.function', { tool_choice: { type: 'function' } }],
  ])('is refused for a function without a name: %s', async (param, overrides) => {
    const gateway = await openRelay();
    const reply = await gateway.post(CHAT, gateway.session(), ask(overrides));
    expect(reply).toMatchObject({ status: 400, body: { error: { param } } });
  });

  test('that says a member twice is refused: the upstream might read the other one', async () => {
    const gateway = await openRelay();
    const reply = await gateway.text(
      '{"model":"gpt-5","messages":[],"messages":[{"role":"user"}]}',
    );
    expect(JSON.parse(reply)).toMatchObject({ error: { param: 'messages', code: 'invalid_json' } });
    expect(gateway.upstreams.requests).toEqual([]);
  });
});

describe('token ids', () => {
  const whole = {
    ...completion,
    prompt_token_ids: [1, 2, 3],
    choices: [
      {
        ...completion.choices[0],
        token_ids: [10, 11],
        logprobs: { content: [{ logprob: -0.5 }, { logprob: -0.25 }] },
      },
    ],
  };
  const TOKENS = { prompt: [1, 2, 3], completion: [10, 11], logprobs: [-0.5, -0.25] };

  test('are asked of an upstream that has them, recorded, and hidden from the agent', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(whole);
    const answer = JSON.parse(await gateway.text(ask({ model: 'open' }))) as unknown;
    expect(JSON.parse(gateway.upstreams.requests[0]?.body ?? '')).toMatchObject({
      ...{ model: 'qwen', return_token_ids: true, logprobs: true },
    });
    expect(answer).toEqual({
      ...completion,
      choices: [{ ...completion.choices[0], logprobs: null }],
    });
    expect(gateway.recorder.take(SESSION).decisions[0]?.sampled).toMatchObject({ tokens: TOKENS });
  });

  test('stay where the agent asked for them itself', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(whole);
    const request = ask({ model: 'open', return_token_ids: true, logprobs: true });
    expect(JSON.parse(await gateway.text(request))).toEqual(whole);
  });

  test('of a stream are put together from its pieces', async () => {
    const gateway = await openRelay();
    const piece = (text: string, id: number, logprob: number): string =>
      chunk({ content: text }, null, { token_ids: [id], logprobs: { content: [{ logprob }] } });
    gateway.upstreams.answerEvents([
      ...[piece('He', 10, -0.5), piece('y', 11, -0.25), chunk({}, 'stop'), DONE],
    ]);
    const text = await gateway.text(ask({ model: 'open', stream: true }));
    expect(text).not.toContain('token_ids');
    expect(text).not.toContain('-0.25');
    expect(gateway.recorder.take(SESSION).decisions[0]?.sampled).toMatchObject({
      tokens: { ...TOKENS, prompt: null },
    });
  });
});

describe('a stream', () => {
  test('is handed on as it comes, without the usage that only we asked for', async () => {
    const gateway = await openRelay();
    const shown = [
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Héy' }),
      ': ping\n\n',
    ];
    const end = chunk({}, 'stop');
    gateway.upstreams.answerEvents([...shown, end, usageChunk, DONE]);
    const text = await gateway.text(ask({ stream: true }));
    expect(text).toBe([...shown, end, DONE].join(''));
    expect(JSON.parse(gateway.upstreams.requests[0]?.body ?? '')).toMatchObject({
      stream_options: { include_usage: true },
    });
    const { decisions, messages } = gateway.recorder.take(SESSION);
    expect(decisions[0]?.usage).toEqual({ promptTokens: 7, completionTokens: 3 });
    expect(messages.get(decisions[0]?.output ?? '')).toEqual({ role: 'assistant', content: 'Héy' });
  });

  test('has its usage where the agent asked for it', async () => {
    const gateway = await openRelay();
    const events = [chunk({ content: 'a' }, 'stop'), usageChunk, DONE];
    gateway.upstreams.answerEvents(events);
    const body = ask({ stream: true, stream_options: { include_usage: true } });
    expect(await gateway.text(body)).toBe(events.join(''));
  });

  test('may be cut anywhere by the network, also within a character', async () => {
    const gateway = await openRelay();
    const bytes = Buffer.from([chunk({ content: 'Grüße 🙂' }, 'stop'), DONE].join(''));
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
    gateway.upstreams.answer({ headers: { 'content-type': 'text/event-stream' }, chunks: single });
    expect(await gateway.text(ask({ stream: true }))).toBe(bytes.toString());
    const { decisions, messages } = gateway.recorder.take(SESSION);
    expect(messages.get(decisions[0]?.output ?? '')?.content).toBe('Grüße 🙂');
  });

  test('that comes in one piece of the network loses nothing', async () => {
    const gateway = await openRelay();
    const events = [chunk({ content: 'a' }), chunk({ content: 'b' }), chunk({}, 'stop'), DONE];
    gateway.upstreams.answerEvents([events.join('')]);
    expect(await gateway.text(ask({ stream: true }))).toBe(events.join(''));
  });

  test('whose data comes in several lines is read, and edited, as one', async () => {
    const gateway = await openRelay();
    const lines = [
      'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],',
      'data: "usage":{"prompt_tokens":1,"completion_tokens":1}}',
    ];
    gateway.upstreams.answerEvents([`${lines.join('\n')}\n\n`, DONE]);
    const text = await gateway.text(ask({ stream: true }));
    expect(text).toContain('"content":"a"');
    expect(text).not.toContain('usage');
  });

  test('of parallel tool calls is put together by their index', async () => {
    const gateway = await openRelay();
    const call = (index: number, rest: object): object => ({ tool_calls: [{ index, ...rest }] });
    gateway.upstreams.answerEvents([
      chunk(call(0, { id: 'c0', type: 'function', function: { name: 'a', arguments: '' } })),
      chunk(call(1, { id: 'c1', type: 'function', function: { name: 'b', arguments: '{"x"' } })),
      chunk(call(0, { function: { arguments: '{}' } })),
      chunk(call(1, { function: { arguments: ':1}' } })),
      ...[chunk({}, 'tool_calls'), DONE],
    ]);
    await gateway.text(ask({ stream: true }));
    const { decisions, messages } = gateway.recorder.take(SESSION);
    expect(messages.get(decisions[0]?.output ?? '')?.tool_calls).toEqual([
      { id: 'c0', type: 'function', function: { name: 'a', arguments: '{}' } },
      { id: 'c1', type: 'function', function: { name: 'b', arguments: '{"x":1}' } },
    ]);
  });

  test('that ends before it is whole is an error to the agent, and no decision', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents([chunk({ content: 'half an ans' })]);
    const text = await gateway.text(ask({ stream: true }));
    expect(text).toContain('half an ans');
    expect(text).toContain('"code":"upstream_broke_off"');
    expect(text).not.toContain('[DONE]');
    const { decisions, failures } = gateway.recorder.take(SESSION);
    expect(decisions).toEqual([]);
    expect(failures).toMatchObject([{ status: 502 }]);
  });

  test('whose answer is not of the protocol when it is whole is an error to the agent, and over', async () => {
    const gateway = await openRelay();
    const call = { index: 0, function: { name: 'a', arguments: '{}' } }; // without an id
    gateway.upstreams.answerEvents([
      ...[chunk({ tool_calls: [call] }), chunk({}, 'tool_calls'), DONE],
    ]);
    const text = await gateway.text(ask({ stream: true }));
    expect(text).toContain('"code":"upstream_garbage"');
    expect(text).not.toContain('[DONE]');
    expect(gateway.recorder.take(SESSION).failures).toMatchObject([{ status: 502 }]);
    expect(gateway.upstreams.health.status('main')).toMatchObject({
      ...{ running: 0, errors: { garbage: 1 } },
    });
  });

  test('that ends with half of an emoji is handed on as it is, and recorded with U+FFFD', async () => {
    const gateway = await openRelay();
    const events = [chunk({ content: 'a\ud83d' }), chunk({ content: '\ude00b\ud83d' }, 'length')];
    gateway.upstreams.answerEvents([...events, DONE]);
    expect(await gateway.text(ask({ stream: true }))).toBe([...events, DONE].join(''));
    expect(gateway.recorded().output?.content).toBe('a\u{1f600}b\ufffd');
  });

  test('of no choice (n = 0) that breaks off before the first one is an error', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerEvents([': wait\n\n']);
    const text = await gateway.text(ask({ n: 0, stream: true }));
    expect(text).toContain('"code":"upstream_broke_off"');
  });

  test('that breaks off after its last word is whole', async () => {
    const gateway = await openRelay();
    async function* chunks(): AsyncGenerator<string> {
      yield chunk({ content: 'all of it' }, 'stop');
      throw new UpstreamError('cut', 'reset');
    }
    gateway.upstreams.answer({
      headers: { 'content-type': 'text/event-stream' },
      chunks: chunks(),
    });
    expect(await gateway.text(ask({ stream: true }))).toContain('all of it');
    expect(gateway.recorder.take(SESSION).decisions).toHaveLength(1);
  });

  test('reaches the agent before it is over, but its end only when the decision is durable', async () => {
    const gateway = await openRelay();
    const seen: string[] = [];
    let isDurable = false;
    const record = gateway.recorder.record.bind(gateway.recorder);
    gateway.recorder.record = async (call) => {
      await new Promise((wake) => setTimeout(wake, 20));
      isDurable = true;
      return record(call);
    };
    gateway.upstreams.answerEvents([chunk({ content: 'first' }), chunk({}, 'stop'), DONE]);
    const response = await gateway.app.request(CHAT, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${gateway.session()}` } },
      body: JSON.stringify(ask({ stream: true })),
    });
    for await (const bytes of response.body ?? []) {
      const text = Buffer.from(bytes).toString();
      seen.push(text);
      expect(text.includes('"finish_reason":"stop"') || text.includes('[DONE]')).toBe(isDurable);
    }
    expect(seen).toHaveLength(2);
  });
});

describe('an upstream that fails', () => {
  test('with an error of its own is quoted, with how long to wait', async () => {
    const gateway = await openRelay();
    const body = { error: { message: 'slow down', type: 'rate_limit', x_detail: 9 } };
    gateway.upstreams.answerJson(body, { status: 429, headers: { 'retry-after': '7' } });
    const reply = await gateway.post(CHAT, gateway.session(), ask());
    expect(reply).toMatchObject({ status: 429, body });
    expect(reply.headers.get('retry-after')).toBe('7');
    expect(gateway.recorder.take(SESSION).failures).toMatchObject([{ status: 429 }]);
  });

  test('because it refuses our key is a failure of ours, and says nothing of the key', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson({ error: { message: `wrong key ${KEY}` } }, { status: 401 });
    const reply = await gateway.post(CHAT, gateway.session(), ask());
    expect(reply.status).toBe(502);
    expect(JSON.stringify(reply.body)).not.toContain(KEY);
  });

  test.each([
    ['no JSON', 'secret text'],
    ['no object', '[1]'],
    ['no choices', '{"id":"x"}'],
    ['a choice without a message', '{"choices":[{}]}'],
    ['a message that is none', '{"choices":[{"message":{"role":"robot"}}]}'],
  ])('by answering %s is a 502 that quotes nothing', async (_, body) => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(body);
    const reply = await gateway.post(CHAT, gateway.session(), ask());
    expect(reply).toMatchObject({ status: 502, body: { error: { code: 'upstream_garbage' } } });
    expect(JSON.stringify([reply.body, gateway.log])).not.toContain('secret');
    expect(gateway.recorder.take(SESSION).decisions).toEqual([]);
  });

  test.each([
    ['unreachable', 502],
    ['slow', 504],
    ['cut', 502],
  ] as const)('by being %s is a %i', async (fault, status) => {
    const gateway = await openRelay();
    gateway.upstreams.answer(new UpstreamError(fault, 'x', { upstream: 'main' }));
    const reply = await gateway.post(CHAT, gateway.session(), ask());
    expect(reply.status).toBe(status);
  });
});

describe('a client that goes before it has its answer', () => {
  const gone = async (
    body: object,
    chunks: (aborted: Promise<never>) => AsyncGenerator<string>,
    onStarted: (response: Response, leave: () => void) => Promise<void> | void,
  ): Promise<Relay> => {
    const gateway = await openRelay();
    const controller = new AbortController();
    const aborted = new Promise<never>((_, reject) => {
      const fail = (): void => reject(new UpstreamError('cut', 'we hung up'));
      controller.signal.addEventListener('abort', fail);
    });
    aborted.catch(() => undefined);
    const contentType = 'stream' in body ? 'text/event-stream' : 'application/json';
    gateway.upstreams.answer({
      headers: { 'content-type': contentType },
      chunks: chunks(aborted),
    });
    const leave = (): void => controller.abort();
    const asking = gateway.app.request(CHAT, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${gateway.session()}` } },
      ...{ body: JSON.stringify(body), signal: controller.signal },
    });
    if (!('stream' in body)) setTimeout(leave, 10);
    await onStarted(await asking, leave);
    return gateway;
  };

  test('is counted as that, and not as the upstream’s fault', async () => {
    const gateway = await gone(
      ask(),
      async function* (aborted) {
        yield '{';
        await aborted;
      },
      (response) => expect(response.status).toBe(499),
    );
    expect(gateway.recorder.take(SESSION).failures).toMatchObject([{ status: 499 }]);
    expect(gateway.log).toEqual([]);
  });

  test('in the middle of a stream too', async () => {
    const gateway = await gone(
      ask({ stream: true }),
      async function* (aborted) {
        yield chunk({ content: 'half' });
        await aborted;
      },
      async (response, leave) => {
        const reader = response.body?.getReader();
        await reader?.read();
        leave();
        expect((await reader?.read())?.done).toBe(true);
      },
    );
    const { decisions, failures } = gateway.recorder.take(SESSION);
    expect(decisions).toEqual([]);
    expect(failures).toMatchObject([{ status: 499 }]);
    expect(gateway.log).toEqual([]);
  });
});

test('the models of upstreams are listed, and an unknown one is a 404 that names them', async () => {
  const gateway = await openRelay();
  const models = await gateway.get('/v1/models', gateway.session());
  expect(models.body['data']).toEqual(
    ['ratchet/support', 'gpt-5', 'alias', 'open'].map(
      (id) => expect.objectContaining({ id }) as unknown,
    ),
  );
  const reply = await gateway.post(CHAT, gateway.session(), ask({ model: 'gpt-9' }));
  expect(reply).toMatchObject({ status: 404, body: { error: { code: 'model_not_found' } } });
  expect(reply.body.error?.message).toContain('gpt-5');
});

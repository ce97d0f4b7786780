import { TransientError } from '../../../src/errors';
import type { GatewayDeps } from '../../../src/gateway/app';
import { messageId } from '../../../src/gateway/recording/message-id';
import { createChatReader } from '../../../src/gateway/protocols/chat/chat-reader';
import type { Recorder } from '../../../src/gateway/recording/recorder';
import { uniform } from '../../../src/rl/counter-rng';
import type { Fixture } from './gateway-fixture';
import { CANDIDATE, CHAMPION, chat, createFixture, OTHER, tools } from './gateway-fixture';

const SESSION = 'run-1/0/task-1/0';
const CHAT = '/v1/chat/completions';

describe('a rollout’s call', () => {
  test('is answered in OpenAI’s shape by the pinned checkpoint', async () => {
    const gateway = await createFixture();
    const reply = await gateway.post(CHAT, gateway.session(), chat());
    expect(reply.status).toBe(200);
    expect(reply.headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
    expect(reply.body).toMatchObject({
      object: 'chat.completion',
      model: `ratchet/support@${OTHER}`,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: null, tool_calls: [{ type: 'function' }] },
          finish_reason: 'tool_calls',
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    });
    expect(reply.body.id).toMatch(/^chatcmpl-/);
  });

  test('is recorded as a decision with the ids of its messages and tools', async () => {
    const gateway = await createFixture();
    const reply = await gateway.post(CHAT, gateway.session(), chat({ tools, temperature: 0.3 }));
    const { decisions, messages, toolsets, failures } = gateway.recorder.take(SESSION);
    const [decision, ...more] = decisions;
    expect(more).toEqual([]);
    expect(failures).toEqual([]);
    expect(decision).toMatchObject({
      id: reply.body.id,
      sequence: 1,
      policy: 'support',
      checkpoint: OTHER,
      sampled: { kind: 'arm', propensity: 1 / 3, available: 3 },
      // The session's pin wins over the request's 0.3.
      sampling: { temperature: 1 },
    });
    const [asked] = decision?.context ?? [];
    expect(messages.get(asked ?? '')).toMatchObject({ content: 'give me my money back' });
    expect(messages.get(decision?.output ?? '')?.role).toBe('assistant');
    expect(toolsets.get(decision?.toolset ?? '')).toEqual(tools);
  });

  test('samples from the session’s counters and the turn, whoever asks and however often', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    const first = await gateway.post(CHAT, token, chat());
    const retried = await gateway.post(CHAT, token, chat());
    const drawn = gateway.policies.calls.map((call) => call.uniform);
    const key = { seed: 1, iteration: 0, task: 'task-1', member: 0, purpose: 'rollout.sample' };
    expect(drawn).toEqual([uniform({ ...key, turn: 0 }), uniform({ ...key, turn: 0 })]);
    expect(retried.body).toEqual(first.body);
    expect(gateway.recorder.take(SESSION).decisions).toHaveLength(1);
  });

  test('of the next turn is another draw and another decision, whose context is what was answered', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    const first = await gateway.post(CHAT, token, chat());
    const choices = first.body['choices'] as { message: object }[];
    const messages = [
      { role: 'user', content: 'give me my money back' },
      choices[0]?.message,
      { role: 'user', content: 'no, really' },
    ];
    await gateway.post(CHAT, token, chat({ messages }));
    const { decisions } = gateway.recorder.take(SESSION);
    expect(decisions.map(({ sequence }) => sequence)).toEqual([1, 2]);
    // The client echoes `refusal: null`, which is not part of what a message is.
    expect(decisions[1]?.context[1]).toBe(decisions[0]?.output);
    const [a, b] = gateway.policies.calls;
    expect(a?.uniform).not.toBe(b?.uniform);
  });

  test('that ends in a tool’s result is answered, and nothing is recorded', async () => {
    const gateway = await createFixture();
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'tool', tool_call_id: 'call_refund', content: 'refunded' },
    ];
    const reply = await gateway.post(CHAT, gateway.session(), chat({ messages }));
    expect(reply.body).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
    expect(gateway.recorder.take(SESSION).decisions).toEqual([]);
  });

  test('can be streamed, and is the same answer', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    const whole = await gateway.post(CHAT, token, chat());
    const response = await gateway.app.request(CHAT, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${token}` } },
      body: JSON.stringify(chat({ stream: true, stream_options: { include_usage: true } })),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const events = (await response.text()).split('\n\n').filter((event) => event !== '');
    expect(events.pop()).toBe('data: [DONE]');
    const reader = createChatReader({
      ...{ choices: 1, hidesUsage: false, hidesTokenIds: false, hidesLogprobs: false },
    });
    for (const event of events) {
      reader.event({ text: event, name: '', data: event.slice('data: '.length) });
    }
    const [choice] = whole.body['choices'] as { message: { tool_calls: unknown } }[];
    expect(reader.answer()).toMatchObject({
      responseId: whole.body.id,
      outputs: [{ tool_calls: choice?.message.tool_calls }],
      finishReason: 'tool_calls',
      usage: { promptTokens: 1, completionTokens: 1 },
    });
  });

  test('without draw counters is sampled at random, under an id of its own', async () => {
    const gateway = await createFixture();
    const token = gateway.session({ draw: null });
    const ids = [await gateway.post(CHAT, token, chat()), await gateway.post(CHAT, token, chat())];
    expect(new Set(ids.map((reply) => reply.body.id)).size).toBe(2);
  });

  test('that cannot be recorded is refused with 503, which clients retry', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    gateway.recorder.take(SESSION);
    const reply = await gateway.post(CHAT, token, chat());
    expect(reply).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
  });

  test('that fails is kept as a failure with the status that the agent saw', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    gateway.policies.failWith = new TransientError('the model is loading', { retryAfterMs: 1_500 });
    const reply = await gateway.post(CHAT, token, chat());
    expect(reply.status).toBe(503);
    expect(reply.headers.get('retry-after')).toBe('2');
    expect(reply.headers.get('retry-after-ms')).toBe('1500');
    await gateway.post(CHAT, token, '{');
    expect(gateway.recorder.take(SESSION).failures).toMatchObject([
      { session: SESSION, agent: 'desk', status: 503, detail: 'the model is loading' },
      { status: 400 },
    ]);
  });

  test('answers 500 without details when something breaks inside, and the log has them', async () => {
    const gateway = await createFixture();
    gateway.policies.failWith = new Error('secret path /models/x');
    const reply = await gateway.post(CHAT, gateway.session(), chat());
    expect(reply.status).toBe(500);
    expect(JSON.stringify(reply.body)).not.toContain('secret');
    expect(gateway.log).toMatchObject([
      { requestId: reply.headers.get('x-request-id'), error: 'secret path /models/x' },
    ]);
    expect(gateway.counters).toMatchObject({ answered: 0, failed: 1 });
  });

  test('of a pinned checkpoint that is missing is our failure, not the agent’s', async () => {
    const gateway = await createFixture();
    const token = gateway.session({ checkpoint: `sha256:${'d'.repeat(64)}` });
    expect((await gateway.post(CHAT, token, chat())).status).toBe(500);
  });

  test('needs no champion when its checkpoint is pinned', async () => {
    const gateway = await createFixture();
    const token = gateway.session({ policy: 'brand-new' });
    expect((await gateway.post(CHAT, token, chat({ model: 'ratchet/brand-new' }))).status).toBe(
      200,
    );
    const models = await gateway.get('/v1/models', token);
    expect(models.body['data']).toMatchObject([
      { id: 'ratchet/brand-new' },
      { id: 'ratchet/support' },
    ]);
  });
});

describe('a live call', () => {
  const live = async (
    overrides: Partial<GatewayDeps> = {},
  ): Promise<{ gateway: Fixture; key: string }> => {
    const gateway = await createFixture(overrides);
    return { gateway, key: await gateway.key({ role: 'agent', agent: 'desk' }) };
  };

  test('is answered by the champion, at the temperature that it asks for, 1 if it does not say', async () => {
    const { gateway, key } = await live();
    await gateway.post(CHAT, key, chat());
    await gateway.post(CHAT, key, chat({ temperature: 0 }));
    expect(gateway.policies.calls.map((call) => [call.checkpoint, call.sampling])).toEqual([
      [CHAMPION, { temperature: 1 }],
      [CHAMPION, { temperature: 0 }],
    ]);
  });

  test.each([
    ['the session header', { user: 'u' }, { 'x-ratchet-session': 'h' }, 'live/desk/h'],
    ['metadata.session_id', { metadata: { session_id: 'm' }, user: 'u' }, {}, 'live/desk/m'],
    ['safety_identifier', { safety_identifier: 's', user: 'u' }, {}, 'live/desk/s'],
    ['user', { user: 'u' }, {}, 'live/desk/u'],
    [
      'another agent’s name for it',
      { user: '../x/live/other/1' },
      {},
      'live/desk/../x/live/other/1',
    ],
  ])('belongs to the session that is named by %s', async (_, fields, headers, expected) => {
    const sessions: string[] = [];
    const { gateway, key } = await live({
      recorder: {
        record: async ({ session }) => void sessions.push(session),
        begin: () => () => undefined,
        recordFailure: () => undefined,
      },
    });
    await gateway.post(CHAT, key, chat(fields), headers);
    expect(sessions).toEqual([expected]);
  });

  test('without a name gets a session of its own, and is told', async () => {
    const { gateway, key } = await live();
    const replies = [await gateway.post(CHAT, key, chat()), await gateway.post(CHAT, key, chat())];
    const names = replies.map((reply) => reply.headers.get('x-ratchet-session'));
    expect(new Set(names).size).toBe(2);
  });

  test('that cannot be recorded is answered, and says so', async () => {
    const { gateway, key } = await live();
    // The batch recorder knows no live session.
    const reply = await gateway.post(CHAT, key, chat());
    expect(reply.status).toBe(200);
    expect(reply.headers.get('x-ratchet-recorded')).toBe('false');
    expect(gateway.counters).toMatchObject({ answered: 1, unrecorded: 1 });
    expect(gateway.log).toMatchObject([{ level: 'warn' }]);
  });

  test('that is recorded carries no warning', async () => {
    const { gateway, key } = await live({
      recorder: {
        record: async () => undefined,
        begin: () => () => undefined,
        recordFailure: () => undefined,
      },
    });
    const reply = await gateway.post(CHAT, key, chat());
    expect(reply.headers.get('x-ratchet-recorded')).toBeNull();
  });

  describe('where intents are recorded', () => {
    /** Says what happened, in order. */
    const recorderOf = (happened: string[], fails: readonly string[] = []): Recorder => {
      const note = async (what: string): Promise<void> => {
        happened.push(what);
        if (fails.includes(what)) throw new TransientError('the disk is full');
      };
      return {
        intents: {
          open: () => note('intent'),
          close: (_, status) => void happened.push(`end ${status}`),
        },
        record: async ({ intent }) =>
          note(intent === undefined ? 'a decision of no intent' : 'decision'),
        begin: () => () => undefined,
        recordFailure: () => undefined,
      };
    };
    const observed = async (fails: readonly string[] = []) => {
      const happened: string[] = [];
      const { gateway, key } = await live({ recorder: recorderOf(happened, fails) });
      const { policies } = gateway;
      const serve = policies.serve.bind(policies);
      policies.serve = (checkpoint) => {
        happened.push('policy');
        return serve(checkpoint);
      };
      return { gateway, key, happened };
    };

    test('is recorded as an intent before a policy is asked, and as a decision before it is answered', async () => {
      const { gateway, key, happened } = await observed();
      await gateway.post(CHAT, key, chat());
      expect(happened).toEqual(['intent', 'policy', 'decision']);
    });

    test('ends its intent when it fails or decides nothing', async () => {
      const { gateway, key, happened } = await observed();
      gateway.policies.failWith = new TransientError('loading');
      await gateway.post(CHAT, key, chat());
      gateway.policies.failWith = null;
      const messages = [{ role: 'tool', tool_call_id: 'call_refund', content: 'refunded' }];
      await gateway.post(CHAT, key, chat({ messages }));
      expect(happened).toEqual(['intent', 'policy', 'end 503', 'intent', 'policy', 'end 200']);
    });

    test.each([
      ['intent', ['intent', 'policy']],
      ['decision', ['intent', 'policy', 'decision', 'end 200']],
    ])('is answered when its %s cannot be recorded, and counts once', async (what, expected) => {
      const { gateway, key, happened } = await observed([what]);
      const reply = await gateway.post(CHAT, key, chat());
      expect(reply.status).toBe(200);
      expect(reply.headers.get('x-ratchet-recorded')).toBe('false');
      expect(gateway.counters.unrecorded).toBe(1);
      expect(happened).toEqual(expected);
    });

    test.each([
      ['intent', ['intent']],
      ['decision', ['intent', 'policy', 'decision', 'end 503']],
    ])('of a rollout is refused when its %s cannot be recorded', async (what, expected) => {
      const { gateway, happened } = await observed([what]);
      const reply = await gateway.post(CHAT, gateway.session(), chat());
      expect(reply).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
      expect(happened).toEqual(expected);
    });
  });

  test('may name a checkpoint: any by its digest, champion and candidate by their first digits', async () => {
    const { gateway, key } = await live();
    const ask = async (at: string) =>
      (await gateway.post(CHAT, key, chat({ model: `ratchet/support@${at}` }))).status;
    expect(await ask(OTHER)).toBe(200);
    expect(await ask('abababababab')).toBe(200);
    expect(await ask('sha256:aaaaaaaaaaaa')).toBe(200);
    expect(gateway.policies.calls.map((call) => call.checkpoint)).toEqual([
      ...[OTHER, CANDIDATE, CHAMPION],
    ]);
    expect(await ask('cccccccccccc')).toBe(404);
    expect(await ask('aaaaaaaaaaa')).toBe(404);
    expect(await ask(`sha256:${'d'.repeat(64)}`)).toBe(404);
  });
});

describe('bad input', () => {
  test.each([
    ['malformed JSON', '{"model": "x",}', 400, 'invalid_json', null, /position 14 .*a key/],
    ['an empty body', '', 400, 'invalid_json', null, /position 0/],
    ['no object', '[]', 400, 'invalid_request', '', /expected object/],
    ['no messages', chat({ messages: [] }), 400, 'invalid_request', 'messages', /messages/],
    [
      'a message of an unknown role',
      chat({ messages: [{ role: 'user' }, { role: 'wizard' }] }),
      400,
      'invalid_request',
      'messages[1].role',
      /messages\[1\].role is not valid/,
    ],
    [
      'a tool without a name',
      chat({ tools: [{ type: 'function', function: {} }] }),
      400,
      'invalid_request',
      'tools[0].function.name',
      /tools/,
    ],
    ['several choices', chat({ n: 2 }), 400, 'unsupported_value', 'n', /n = 1/],
    ['a hot temperature', chat({ temperature: 9 }), 400, 'invalid_request', 'temperature', /2/],
    [
      'an unknown model',
      chat({ model: 'gpt-5' }),
      404,
      'model_not_found',
      'model',
      /expected one of ratchet\/support; got "gpt-5"/,
    ],
    [
      'an unknown policy',
      chat({ model: 'ratchet/nobody' }),
      404,
      'model_not_found',
      'model',
      /got/,
    ],
    [
      'nesting without end',
      `{"model":"x","messages":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
      400,
      'invalid_json',
      null,
      /nested too deeply/,
    ],
  ])('%s is refused', async (_, body, status, code, param, message) => {
    const gateway = await createFixture();
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const reply = await gateway.post(CHAT, key, body);
    expect(reply.status).toBe(status);
    expect(reply.body.error).toMatchObject({ code, type: 'invalid_request_error' });
    expect(reply.body.error?.param ?? '').toBe(param ?? '');
    expect(reply.body.error?.message).toMatch(message);
    expect(reply.headers.get('x-request-id')).not.toBeNull();
    expect(gateway.counters).toMatchObject({ refused: 1, answered: 0 });
  });

  test('a body over the limit is refused, announced or not', async () => {
    const gateway = await createFixture();
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const large = 'x'.repeat(10 * 1024 * 1024);
    expect(await gateway.post(CHAT, key, large)).toMatchObject({
      status: 413,
      body: { error: { code: 'request_too_large' } },
    });
    const announced = await gateway.post(CHAT, key, '{}', { 'content-length': '99999999' });
    expect(announced.status).toBe(413);
    const compressed = await gateway.post(CHAT, key, 'x', { 'content-encoding': 'compress' });
    expect(compressed.status).toBe(415);
  });

  test('half of an emoji becomes the replacement character', async () => {
    const gateway = await createFixture();
    const body = JSON.stringify(chat({ messages: [{ role: 'user', content: 'cut @' }] }));
    const reply = await gateway.post(CHAT, gateway.session(), body.replace('@', '\\ud83d'));
    expect(reply.status).toBe(200);
    const id = messageId({ role: 'user', content: 'cut \ufffd' });
    expect(gateway.recorder.take(SESSION).messages.get(id)?.content).toBe('cut \ufffd');
  });

  test('a route that does not exist is named', async () => {
    const gateway = await createFixture();
    const reply = await gateway.get('/v1/nothing', null);
    expect(reply).toMatchObject({
      status: 404,
      body: { error: { code: 'unknown_route', message: 'unknown route: GET /v1/nothing' } },
    });
  });
});

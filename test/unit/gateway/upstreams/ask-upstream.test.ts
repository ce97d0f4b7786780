import { UpstreamError } from '../../../../src/gateway/upstreams/upstream';
import { createFakeClock, type FakeClock } from '../../../fakes/fake-clock';
import {
  createFakeUpstreams,
  type FakeAnswer,
  type FakeUpstreams,
} from '../../../fakes/fake-upstreams';
import { createFixture, NOW, type Fixture, type Reply } from '../gateway-fixture';

const CHAT = '/v1/chat/completions';
const SESSION = 'run-1/0/task-1/0';

const json = (body: object, rest: Omit<FakeAnswer, 'chunks'> = {}): FakeAnswer => ({
  ...{ headers: { 'content-type': 'application/json' }, ...rest },
  chunks: [JSON.stringify(body)],
});
const hello = (): FakeAnswer =>
  json({
    id: 'up-1',
    choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  });
const error = (status: number, headers: Record<string, string> = {}): FakeAnswer =>
  json({ error: { message: `that is ${status}` } }, { status, headers });
const fault = (name: 'unreachable' | 'slow' | 'cut' | 'garbage'): UpstreamError =>
  new UpstreamError(name, `it is ${name}`);
const stream = (chunks: FakeAnswer['chunks']): FakeAnswer => ({
  ...{ headers: { 'content-type': 'text/event-stream' }, chunks },
});
const events = (text: string, finish: string | null): string =>
  `data: ${JSON.stringify({
    ...{ id: 'up-2', choices: [{ index: 0, delta: { content: text }, finish_reason: finish }] },
  })}\n\n`;
const DONE = 'data: [DONE]\n\n';

interface Opened extends Fixture {
  readonly upstreams: FakeUpstreams;
  readonly clock: FakeClock;
  ask(body?: object, session?: string): Promise<Reply>;
  stream(): Promise<string>;
  asked(): string[];
}

async function open(names: readonly string[], rest: object = {}): Promise<Opened> {
  const clock = createFakeClock(NOW);
  const upstreams = createFakeUpstreams(
    {
      upstreams: Object.fromEntries(names.map((name) => [name, { url: `http://${name}.ex/v1` }])),
      models: { m: names.map((upstream) => ({ upstream })) },
      retries: { attempts: 3 },
      ...rest,
    },
    {},
    clock,
  );
  const gateway = await createFixture({ upstreams });
  const tokens = new Map<string, string>();
  const tokenOf = (session: string): string => {
    const token = tokens.get(session) ?? gateway.session({ session });
    tokens.set(session, token);
    return token;
  };
  const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
  return {
    ...{ ...gateway, upstreams, clock },
    ask: (more = {}, session = SESSION) =>
      gateway.post(CHAT, tokenOf(session), { ...body, ...more }),
    async stream() {
      const response = await gateway.app.request(CHAT, {
        ...{ method: 'POST', headers: { authorization: `Bearer ${tokenOf(SESSION)}` } },
        body: JSON.stringify({ ...body, stream: true }),
      });
      return response.text();
    },
    asked: () => upstreams.requests.map(({ upstream }) => upstream.name),
  };
}

describe('a call whose upstream fails', () => {
  test.each([
    ['unreachable', fault('unreachable')],
    ['cut before its answer', fault('cut')],
    ['garbage', json({ no: 'choices' })],
    ['an error', error(500)],
    ['a limit', error(429, { 'retry-after': '3600' })],
    ['our key refused', error(401)],
  ])('is answered by another one at once: %s', async (_, answer) => {
    const gateway = await open(['a', 'b']);
    gateway.upstreams.answer(answer);
    gateway.upstreams.answer(hello());
    expect((await gateway.ask()).status).toBe(200);
    expect(new Set(gateway.asked()).size).toBe(2);
    expect(gateway.clock.slept).toEqual([]);
    const { decisions } = gateway.recorder.take(SESSION);
    expect(decisions).toHaveLength(1);
    expect(decisions[0]?.upstream?.name).toBe(gateway.asked()[1]);
    expect(gateway.log).toMatchObject([{ level: 'warn' }]);
  });

  test.each([400, 404, 422])('because it is wrong itself is asked once: %i', async (status) => {
    const gateway = await open(['a', 'b']);
    gateway.upstreams.answer(error(status));
    expect((await gateway.ask()).status).toBe(status);
    expect(gateway.asked()).toHaveLength(1);
  });

  test('that is wrong is not taken back to one that failed before', async () => {
    const gateway = await open(['a', 'b']);
    gateway.upstreams.answer(error(500));
    gateway.upstreams.answer(error(400));
    expect((await gateway.ask()).status).toBe(400);
    expect(gateway.asked()).toHaveLength(2);
  });

  test('with one upstream tries it again, with a growing back-off', async () => {
    const gateway = await open(['a']);
    for (const answer of [fault('cut'), error(503), hello()]) gateway.upstreams.answer(answer);
    expect((await gateway.ask()).status).toBe(200);
    const [first = 0, second = 0] = gateway.clock.slept;
    expect(first).toBeGreaterThanOrEqual(125);
    expect(first).toBeLessThan(250);
    expect(second).toBeGreaterThanOrEqual(250);
    expect(second).toBeLessThan(500);
  });

  test('waits as long as the upstream says where its patience allows', async () => {
    const gateway = await open(['a']);
    gateway.upstreams.answer(error(429, { 'retry-after': '7' }));
    gateway.upstreams.answer(hello());
    expect((await gateway.ask()).status).toBe(200);
    expect(gateway.clock.slept).toEqual([7_000]);
  });

  test('hands on what the upstream says where it does not, with its headers', async () => {
    const gateway = await open(['a']);
    gateway.upstreams.answer(error(429, { 'retry-after': '31' }));
    const reply = await gateway.ask();
    expect(reply.status).toBe(429);
    expect(reply.headers.get('retry-after')).toBe('31');
    expect(reply.body.error?.message).toBe('that is 429');
    expect(gateway.asked()).toHaveLength(1);
  });

  test('ends with the last failure', async () => {
    const gateway = await open(['a', 'b', 'c', 'd']);
    for (const answer of [error(500), fault('cut'), error(502)]) gateway.upstreams.answer(answer);
    expect((await gateway.ask()).body.error?.message).toBe('that is 502');
    expect(gateway.asked()).toHaveLength(3);
  });

  test('is not tried again where the upstream may still be at work, unless that is configured', async () => {
    const strict = await open(['a', 'b']);
    strict.upstreams.answer(fault('slow'));
    expect((await strict.ask()).status).toBe(504);
    const eager = await open(['a', 'b'], { retries: { attempts: 3, slow: true } });
    eager.upstreams.answer(fault('slow'));
    eager.upstreams.answer(hello());
    expect((await eager.ask()).status).toBe(200);
  });
});

describe('a stream', () => {
  test('that breaks off before its first byte is asked of another upstream', async () => {
    const gateway = await open(['a', 'b']);
    gateway.upstreams.answer(
      stream(
        (async function* () {
          throw fault('cut');
          yield '';
        })(),
      ),
    );
    gateway.upstreams.answer(stream([events('hi', 'stop'), DONE]));
    expect(await gateway.stream()).toBe(events('hi', 'stop') + DONE);
  });

  test('that has begun is never repeated', async () => {
    const gateway = await open(['a', 'b']);
    gateway.upstreams.answer(
      stream(
        (async function* () {
          yield events('half', null);
          throw fault('cut');
        })(),
      ),
    );
    expect(await gateway.stream()).toContain('upstream_broke_off');
    expect(gateway.asked()).toHaveLength(1);
    const status = gateway.upstreams.health.status(gateway.asked()[0] ?? '');
    expect(status).toMatchObject({ errors: { cut: 1 }, breaker: { failures: 1 } });
  });

  test('of nonsense counts against its upstream', async () => {
    const gateway = await open(['a']);
    gateway.upstreams.answer(stream(['data: {nonsense\n\n', 'data: more\n\n']));
    expect(await gateway.stream()).toContain('upstream_garbage');
    expect(gateway.upstreams.health.status('a').errors).toEqual({ garbage: 1 });
  });

  test('in which its upstream says that it has failed is handed on, and is no breaking off', async () => {
    const gateway = await open(['a']);
    const said = 'data: {"error":{"message":"no"}}\n\n';
    gateway.upstreams.answer(stream([said]));
    expect(await gateway.stream()).toContain('"message":"no"');
    expect(gateway.upstreams.health.status('a')).toMatchObject({
      ...{ errors: { said: 1 }, breaker: { kind: 'closed', failures: 0 } },
    });
  });

  test('that is whole counts for it', async () => {
    const gateway = await open(['a']);
    gateway.upstreams.answer(fault('slow'));
    gateway.upstreams.answer(stream([events('hi', 'stop'), DONE]));
    await gateway.ask();
    await gateway.stream();
    expect(gateway.upstreams.health.status('a').breaker).toMatchObject({ failures: 0 });
  });
});

describe('an upstream that is down', () => {
  test('is left alone after a few calls, and then one call looks whether it is back', async () => {
    const gateway = await open(['a', 'b'], { breaker: { failures: 3, open: '5s' } });
    gateway.upstreams.always('a', () => fault('unreachable'));
    gateway.upstreams.always('b', hello);
    const sessions = Array.from({ length: 40 }, (_, i) => `s-${i}`);
    for (const session of sessions) expect((await gateway.ask({}, session)).status).toBe(200);
    expect(gateway.asked().filter((name) => name === 'a')).toHaveLength(3);
    gateway.clock.advance(5_000);
    gateway.upstreams.always('a', hello);
    for (const session of sessions) await gateway.ask({}, session);
    const { breaker, asked } = gateway.upstreams.health.status('a');
    expect(breaker).toMatchObject({ kind: 'closed', failures: 0 });
    expect(asked).toBeGreaterThan(10);
  });

  test('and the only one is refused for a while, saying how long', async () => {
    const gateway = await open(['a'], {
      ...{ breaker: { failures: 2, open: '9s' }, retries: { attempts: 1 } },
    });
    gateway.upstreams.always('a', () => error(500));
    await gateway.ask();
    await gateway.ask();
    const reply = await gateway.ask();
    expect(reply).toMatchObject({ status: 503, body: { error: { code: 'upstream_unavailable' } } });
    expect(reply.headers.get('retry-after')).toBe('9');
    expect(gateway.asked()).toHaveLength(2);
  });

  test('takes calls of other models no time', async () => {
    const gateway = await open(['a', 'b'], {
      models: { m: [{ upstream: 'a' }], other: [{ upstream: 'b' }] },
    });
    gateway.upstreams.always('a', () => error(500));
    gateway.upstreams.always('b', hello);
    for (let i = 0; i < 10; i++) await gateway.ask();
    const before = gateway.clock.now();
    expect((await gateway.ask({ model: 'other' })).status).toBe(200);
    expect(gateway.clock.now()).toBe(before);
  });

  test('when all are, retries stay a small share of the calls', async () => {
    const gateway = await open(['a', 'b'], { breaker: { failures: 1_000 } });
    gateway.upstreams.always('a', () => error(500));
    gateway.upstreams.always('b', () => error(500));
    for (let i = 0; i < 400; i++) await gateway.ask();
    // A fifth, and the twenty that a gateway starts with.
    expect(gateway.asked().length).toBeLessThanOrEqual(400 + 80 + 20);
    expect(gateway.asked().length).toBeGreaterThan(480);
  });
});

describe('which upstream is asked', () => {
  test('is the same one for all calls of a session, and not for all sessions', async () => {
    const gateway = await open(['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) gateway.upstreams.always(name, hello);
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 20; i++) {
      for (let turn = 0; turn < 3; turn++) await gateway.ask({}, `s-${i}`);
      const last = gateway.asked().slice(-3);
      expect(new Set(last).size).toBe(1);
      seen.add(last[0]);
    }
    expect(seen.size).toBe(3);
  });

  test('is the same one for a conversation whose client names no session', async () => {
    const gateway = await open(['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) gateway.upstreams.always(name, hello);
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 20; i++) {
      const messages = [{ role: 'user', content: `question ${i}` }];
      await gateway.post(CHAT, key, { model: 'm', messages });
      const more = [
        { role: 'assistant', content: 'hi' },
        { role: 'user', content: 'and?' },
      ];
      await gateway.post(CHAT, key, { model: 'm', messages: [...messages, ...more] });
      const last = gateway.asked().slice(-2);
      expect(new Set(last).size).toBe(1);
      seen.add(last[0]);
    }
    expect(seen.size).toBe(3);
  });

  test('is one that asked for no rest, as long as there is one', async () => {
    const gateway = await open(['a', 'b']);
    gateway.upstreams.always('a', () => error(429, { 'retry-after': '60' }));
    gateway.upstreams.always('b', hello);
    for (let i = 0; i < 40; i++) await gateway.ask({}, `s-${i}`);
    expect(gateway.asked().filter((name) => name === 'a')).toHaveLength(1);
    gateway.clock.advance(60_000);
    for (let i = 0; i < 40; i++) await gateway.ask({}, `s-${i}`);
    expect(gateway.asked().filter((name) => name === 'a')).toHaveLength(2);
  });
});

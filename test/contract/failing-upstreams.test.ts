import type { ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { createHttpUpstreams } from '../../src/adapters/upstream-http/http-upstreams';
import { createUpstreams, type Upstreams } from '../../src/gateway/upstreams/upstreams';
import { GatewayConfig } from '../../src/schemas/gateway-config';
import { createLocalServers } from '../helpers/local-servers';
import { createFixture, type Reply } from '../unit/gateway/gateway-fixture';

// The gateway over real sockets to upstreams that fail in every way there is.

const { listen, serve, nobody, close } = createLocalServers();
const transport = createHttpUpstreams();

afterAll(async () => {
  await transport.close();
  close();
});

const well = (response: ServerResponse): void =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end(
    JSON.stringify({
      id: 'up-1',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
    }),
  );
const halfStream = (response: ServerResponse): void =>
  void response
    .writeHead(200, { 'content-type': 'text/event-stream' })
    .write('data: {"id":"x","choices":[{"index":0,"delta":{"content":"half"}}]}\n\n');

interface Opened {
  readonly upstreams: Upstreams;
  ask(session?: string, model?: string): Promise<Reply>;
  stream(): Promise<string>;
}

async function open(
  urls: Readonly<Record<string, string>>,
  { timeouts = {}, ...rest }: { readonly timeouts?: object; readonly [part: string]: unknown } = {},
): Promise<Opened> {
  const config = GatewayConfig.parse({
    upstreams: Object.fromEntries(
      Object.entries(urls).map(([name, url]) => [name, { url, timeouts }]),
    ),
    models: { m: Object.keys(urls).map((upstream) => ({ upstream })) },
    retries: { backOff: { first: '10ms' } },
    ...rest,
  });
  const upstreams = createUpstreams(config, new Map(), transport);
  const gateway = await createFixture({ upstreams });
  const body = (model: string): object => ({ model, messages: [{ role: 'user', content: 'hi' }] });
  return {
    upstreams,
    ask: (session = 's', model = 'm') =>
      gateway.post('/v1/chat/completions', gateway.session({ session }), body(model)),
    async stream() {
      const response = await gateway.app.request('/v1/chat/completions', {
        ...{ method: 'POST', headers: { authorization: `Bearer ${gateway.session()}` } },
        body: JSON.stringify({ ...body('m'), stream: true }),
      });
      return response.text();
    },
  };
}

const SESSIONS = Array.from({ length: 12 }, (_, i) => `s-${i}`);

test.each([
  ['is not there', nobody],
  ['resets before it answers', () => serve((response) => void response.destroy())],
  [
    'resets within an answer',
    () =>
      serve((response) => {
        response.writeHead(200, { 'content-type': 'application/json' }).write('{"id":');
        setTimeout(() => response.destroy(), 10);
      }),
  ],
  ['does not speak HTTP', () => listen(createTcpServer((socket) => void socket.end('hello?\r\n')))],
  ['sends nonsense', () => serve((response) => void response.end('<html>'))],
  ['only says 500', () => serve((response) => void response.writeHead(500).end())],
] as const)('one of two that %s: every call is answered by the other one', async (_, down) => {
  const gateway = await open({ well: await serve(well), down: await down() });
  for (const session of SESSIONS) expect((await gateway.ask(session)).status).toBe(200);
  // As often as its breaker allows, and then no more: more than five of the sessions would have asked it first.
  expect(gateway.upstreams.health.status('down')).toMatchObject({
    ...{ asked: 5, breaker: { kind: 'open' } },
  });
});

test('one that hangs before its first byte costs its time-out and no more, and slows no other', async () => {
  const gateway = await open(
    { hangs: await serve(() => undefined), well: await serve(well) },
    {
      ...{ timeouts: { firstByte: '300ms' }, retries: { slow: true } },
      models: { m: [{ upstream: 'hangs' }], both: [{ upstream: 'hangs' }, { upstream: 'well' }] },
      breaker: { failures: 2, open: '1m' },
    },
  );
  expect((await gateway.ask('s', 'm')).status).toBe(504);
  for (const session of SESSIONS) expect((await gateway.ask(session, 'both')).status).toBe(200);
  expect(gateway.upstreams.health.status('hangs')).toMatchObject({
    ...{ asked: 2, breaker: { kind: 'open' } },
  });
});

test.each([
  ['hangs', halfStream],
  [
    'resets',
    (response: ServerResponse): void => {
      halfStream(response);
      setTimeout(() => response.destroy(), 20);
    },
  ],
] as const)('one that %s in the middle of a stream is not asked again', async (_, answer) => {
  const url = await serve(answer);
  const gateway = await open({ a: url, b: url }, { timeouts: { idle: '300ms' } });
  const text = await gateway.stream();
  expect(text).toContain('half');
  expect(text).toMatch(/upstream_(?:timeout|broke_off)/);
  const { health } = gateway.upstreams;
  expect(health.status('a').asked + health.status('b').asked).toBe(1);
});

test('a storm of 429 with a long wait is handed on, and not made worse', async () => {
  const url = await serve(
    (response) => void response.writeHead(429, { 'retry-after': '120' }).end('{"error":{}}'),
  );
  const gateway = await open({ busy: url });
  const replies = await Promise.all(SESSIONS.map((session) => gateway.ask(session)));
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([429]));
  expect(replies[0]?.headers.get('retry-after')).toBe('120');
  const { asked, breaker } = gateway.upstreams.health.status('busy');
  expect(asked).toBe(SESSIONS.length);
  expect(breaker).toMatchObject({ kind: 'closed', failures: 0 });
});

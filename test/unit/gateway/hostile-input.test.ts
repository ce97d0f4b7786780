import fc from 'fast-check';
import type { LogEntry } from '../../../src/gateway/http/route';
import { serveGateway, type ServedGateway } from '../../../src/gateway/http/serve';
import type { UpstreamRequest } from '../../../src/gateway/upstreams/upstream';
import { createLog } from '../../../workers/log';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { brokenText, hostileValue, mutatedBody } from '../../helpers/hostile/hostile-json';
import { hostileTarget, rawRequest } from '../../helpers/hostile/hostile-http';
import { sendRaw } from '../../helpers/raw-http';
import type { Fixture } from './gateway-fixture';
import { createFixture, tools } from './gateway-fixture';
import { MODEL_REQUESTS } from './model-requests';
import { chatAttributes, request as tracesOf, span } from './traces/trace-body';

// 10,000 generated requests: none crashes the gateway, fails on our side, or learns anything.

const SEED = 20261123;
const [BODIES, HEADERS, SOCKETS] = [6_000, 2_000, 2_000];
const UPSTREAM_KEY = 'sk-upstream-0123456789abcdef';
const OTHERS_WORDS = 'the other session’s PIN is 4711';
const URL_OF_UPSTREAM = 'http://upstream.example/v1';

interface Sent extends UpstreamRequest {
  readonly url: string;
}

let gateway: Fixture;
let server: ServedGateway;
let keys: Record<'session' | 'agent' | 'agents' | 'runner' | 'scorer' | 'admin', string>;
let sent: Sent[] = [];
let lines: string[] = [];
let printed: jest.SpyInstance[];

beforeAll(async () => {
  printed = (['error', 'info', 'log', 'warn'] as const).map((name) =>
    jest.spyOn(console, name).mockImplementation(() => undefined),
  );
  const fake = createFakeUpstreams(
    {
      upstreams: {
        cloud: {
          ...{ url: URL_OF_UPSTREAM, key: { env: 'K' } },
          protocols: ['chat', 'responses', 'messages', 'embeddings'],
        },
      },
      models: { 'gpt-x': [{ upstream: 'cloud' }] },
    },
    { cloud: UPSTREAM_KEY },
  );
  const logs = (['text', 'json'] as const).map((format) =>
    createLog({ format, level: 'debug' }, {}, (line) => lines.push(line)),
  );
  gateway = await createFixture({
    upstreams: {
      ...fake,
      transport: {
        async send(upstream, request) {
          sent.push({ ...request, url: upstream.url + request.path });
          const answer = ANSWERS[request.path];
          if (answer === undefined) throw new Error(`no answer for ${request.path}`);
          return {
            ...{ status: 200, headers: { 'content-type': 'application/json' } },
            body: (async function* () {
              yield Buffer.from(JSON.stringify(answer(request.body)));
            })(),
          };
        },
        close: async () => undefined,
      },
    },
    log: ({ level, message, ...fields }: LogEntry) => {
      for (const log of logs) log[level](message, fields);
    },
    recorder: { record: async () => undefined, begin: () => () => undefined, recordFailure() {} },
  });
  server = await serveGateway(gateway.app, {
    timeouts: { head: 1_000, request: 1_000, keepAlive: 1_000 },
  });
  keys = {
    session: gateway.session(),
    agent: await gateway.key({ role: 'agent', agent: 'desk' }),
    agents: await gateway.key({ role: 'agent', agents: ['desk', 'shop'] }),
    runner: await gateway.key({ role: 'runner' }),
    scorer: await gateway.key({ role: 'scorer' }),
    admin: await gateway.key({ role: 'admin' }),
  };
  const other = gateway.session({ session: 'run-1/0/task-2/0' });
  for (const { path, body } of Object.values(MODEL_REQUESTS)) {
    for (const model of ['gpt-x', 'ratchet/support']) {
      await gateway.post(path, other, body(model, OTHERS_WORDS));
    }
  }
  expect(JSON.stringify(sent)).toContain(OTHERS_WORDS);
}, 30_000);
afterAll(async () => {
  await server.close(0);
  for (const spy of printed) spy.mockRestore();
});
beforeEach(() => {
  [sent, lines] = [[], []];
});
afterEach(async () => {
  // It still does what it is there for, and nothing was said past its log.
  const { path, body: bodyOf } = MODEL_REQUESTS.chat;
  const body = { ...bodyOf('ratchet/support', 'hello'), tools };
  expect((await gateway.post(path, keys.session, body)).status).toBe(200);
  for (const spy of printed) expect(spy).not.toHaveBeenCalled();
});

const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
const part = { type: 'output_text', text: 'ok', annotations: [] };
const item = { type: 'message', id: 'm', role: 'assistant', status: 'completed', content: [part] };
/** What an upstream answers, by path. */
const ANSWERS: Readonly<Record<string, (body: string) => object>> = {
  '/chat/completions': (body) => ({
    ...{ id: 'up', object: 'chat.completion', model: 'gpt-x', usage },
    choices: Array.from({ length: choicesOf(body) }, (_, index) => ({
      ...{ index, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' },
    })),
  }),
  '/responses': () => ({
    ...{ id: 'resp_1', object: 'response', status: 'completed', model: 'gpt-x', output: [item] },
    usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 },
  }),
  '/messages': () => ({
    ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'gpt-x', stop_reason: 'end_turn' },
    ...{ content: [{ type: 'text', text: 'ok' }], usage: { input_tokens: 1, output_tokens: 1 } },
  }),
  '/messages/count_tokens': () => ({ input_tokens: 1 }),
  '/embeddings': () => ({
    ...{ object: 'list', model: 'gpt-x', usage },
    data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
  }),
};

function choicesOf(body: string): number {
  const { n } = JSON.parse(body) as { readonly n?: unknown };
  return typeof n === 'number' ? Math.min(Math.max(n, 1), 128) : 1;
}

/** A right body for a path, of a model of ours or of an upstream's. */
function bodyFor(path: string): fc.Arbitrary<object> {
  const call = Object.values(MODEL_REQUESTS).find((request) => request.path === path);
  if (call !== undefined) {
    return fc
      .tuple(fc.constantFrom('ratchet/support', 'gpt-x'), fc.boolean(), fc.boolean())
      .map(([model, isStream, hasTools]) => ({
        ...{ ...call.body(model, 'hello'), stream: isStream, user: 'u' },
        metadata: { session_id: 's' },
        ...(hasTools ? { tools } : {}),
      }));
  }
  if (path === '/v1/messages/count_tokens') return bodyFor('/v1/messages');
  if (path === '/v1/traces') return fc.constant(tracesOf(span(chatAttributes())));
  if (path === '/v1/sessions') return fc.constant({ agent: 'desk', session: 's', ttl_seconds: 60 });
  return fc.constant({ session: 's', value: 1, comment: 'c', id: 'i' });
}

const CALLERS = ['session', 'agent', 'agents'] as const;
/** Whose requests are worth sending; model calls are those of callers. */
const ADMITTED: Readonly<Record<string, readonly (keyof typeof keys)[]>> = {
  '/v1/sessions': ['runner', 'admin'],
  '/v1/feedback': ['agent', 'agents', 'scorer', 'admin'],
  '/v1/traces': ['agent', 'agents'],
};

const postPaths = (): string[] =>
  gateway.app.routes.filter(({ method }) => method === 'POST').map(({ path }) => path);
/** Also those that carry a key themselves. */
const allPaths = (): string[] => {
  const paths = gateway.app.routes.map(({ path }) => path);
  return [...paths, ...paths.map((path) => `/s/${keys.session}${path}`)];
};

const TEXT = expect.any(String) as unknown;

/** Whether the request is of Anthropic's API: of no other, or of a client that says so. What is no route belongs to no protocol. */
function isAnthropic(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): boolean {
  const route = new URL(`http://x${path}`).pathname.replace(/^\/s\/[^/]+/, '');
  if (method === 'POST') return route === '/v1/messages' || route === '/v1/messages/count_tokens';
  const said = Object.keys(headers).some((name) => name.toLowerCase() === 'anthropic-version');
  return said && method === 'GET' && /^\/v1\/models(?:\/.*)?$/.test(route);
}

type Shape = 'openai' | 'anthropic' | 'otlp';

function shapeOf(...of: Parameters<typeof isAnthropic>): Shape {
  const [method, path] = of;
  const route = new URL(`http://x${path}`).pathname.replace(/^\/s\/[^/]+/, '');
  if (method === 'POST' && route === '/v1/traces') return 'otlp';
  return isAnthropic(...of) ? 'anthropic' : 'openai';
}

function assertAnswer(status: number, text: string, shape: Shape): void {
  if (status < 200 || status >= 500) throw new Error(`status ${status}: ${text.slice(0, 500)}`);
  if (status < 400 || text === '') return;
  const body = JSON.parse(text) as { readonly type?: string; readonly error?: object };
  if (shape === 'otlp') {
    expect(body).toEqual({ code: expect.any(Number) as unknown, message: TEXT });
  } else if (shape === 'anthropic') {
    expect(body).toMatchObject({
      type: 'error',
      error: { type: TEXT, message: TEXT },
    });
  } else {
    expect(Object.keys(body)).toEqual(['error']);
    expect(Object.keys(body.error ?? {})).toEqual(['message', 'type', 'param', 'code']);
  }
}

/** @param said what the request itself says: who writes a secret into a body may be told of it, but of no key in its own header. */
function assertNoLeak(seen: string, said: string): void {
  const secrets = [...Object.values(keys).map((key) => key.slice(16)), UPSTREAM_KEY, OTHERS_WORDS];
  for (const secret of secrets)
    if (seen.includes(secret) && !said.includes(secret)) throw new Error(`leaked ${secret}`);
}

function assertNothingStrange(): void {
  for (const line of lines) expect(line).toMatch(/^\P{Cc}*$/u);
  assertNoLeak(lines.join('\n'), '');
  for (const { url, headers } of sent) {
    const path = url.slice(URL_OF_UPSTREAM.length);
    if (!url.startsWith(URL_OF_UPSTREAM) || ANSWERS[path] === undefined)
      throw new Error(`asked ${url}`);
    const said = JSON.stringify(headers);
    for (const key of Object.values(keys))
      if (said.includes(key.slice(4, 40))) throw new Error('an agent’s key went on');
    if (!said.includes(UPSTREAM_KEY)) throw new Error('the upstream’s own key did not');
  }
  [sent, lines] = [[], []];
}

const request = async (path: string, init: RequestInit): Promise<[Response, string]> => {
  const response = await gateway.app.request(`http://gateway.example${path}`, init);
  return [response, await response.text()];
};

test(`${BODIES} bodies, mutated and broken`, async () => {
  const arbitrary = fc.constantFrom(...postPaths()).chain((path) =>
    fc.record({
      path: fc.constant(path),
      who: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...(ADMITTED[path] ?? CALLERS)) },
        { weight: 1, arbitrary: fc.constantFrom(...(Object.keys(keys) as (keyof typeof keys)[])) },
      ),
      body: fc.oneof(
        { weight: 3, arbitrary: mutatedBody(bodyFor(path)) },
        { weight: 1, arbitrary: brokenText(bodyFor(path)) },
      ),
    }),
  );
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ path, who, body }) => {
      const [response, text] = await request(path, {
        ...{
          method: 'POST',
          body,
          headers: {
            ...{ authorization: `Bearer ${keys[who]}`, 'x-ratchet-agent': 'desk' },
            'content-type': 'application/json',
          },
        },
      });
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      assertAnswer(response.status, text, shapeOf('POST', path, {}));
      assertNoLeak(`${JSON.stringify([...response.headers])}${text}`, Buffer.from(body).toString());
      assertNothingStrange();
    }),
    { seed: SEED, numRuns: BODIES },
  );
  // Some got through: what is refused at the door tests nothing behind it.
  expect(statuses.get(200) ?? 0).toBeGreaterThan(BODIES / 20);
  expect(statuses.get(400) ?? 0).toBeGreaterThan(BODIES / 10);
}, 120_000);

test(`${HEADERS} headers, methods, paths and names of models`, async () => {
  const value = fc.oneof(
    hostileValue.map((any) => (typeof any === 'string' ? any : JSON.stringify(any))),
    fc.string({ unit: 'binary', maxLength: 300 }),
  );
  // What no Headers may hold is sent over sockets, below.
  const sendable = value.map((text) => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, ''));
  const name = fc.constantFrom(
    ...[
      'x-ratchet-session',
      'x-ratchet-agent',
      'idempotency-key',
      'content-type',
      'content-encoding',
    ],
    ...[
      'authorization',
      'x-api-key',
      'anthropic-version',
      'openai-beta',
      'x-forwarded-host',
      'cookie',
    ],
    ...['host', 'user-agent', 'accept', 'content-length', 'x-request-id', 'traceparent'],
  );
  const arbitrary = fc.record({
    method: fc.constantFrom(
      'GET',
      'POST',
      'POST',
      'POST',
      'PUT',
      'DELETE',
      'PATCH',
      'OPTIONS',
      'HEAD',
    ),
    path: hostileTarget(allPaths()).filter((path) => path.startsWith('/')),
    who: fc.constantFrom(...Object.values(keys)),
    headers: fc.dictionary(name, sendable, { maxKeys: 4 }),
    model: fc.oneof(value, fc.webUrl()),
  });
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ method, path, who, headers, model }) => {
      const body = JSON.stringify({ ...MODEL_REQUESTS.chat.body(model, 'hello'), tools });
      const [response, text] = await request(path, {
        ...{ method, headers: { authorization: `Bearer ${who}`, ...headers } },
        ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
      });
      assertAnswer(response.status, text, shapeOf(method, path, headers));
      assertNoLeak(
        `${JSON.stringify([...response.headers])}${text}`,
        body + JSON.stringify(headers),
      );
      assertNothingStrange();
    }),
    { seed: SEED, numRuns: HEADERS },
  );
}, 120_000);

test(`${SOCKETS} requests that are hardly HTTP, over sockets`, async () => {
  const arbitrary = rawRequest(
    Object.values(keys),
    allPaths(),
    fc.oneof(mutatedBody(bodyFor(postPaths()[0] as string)), brokenText(bodyFor('/v1/feedback'))),
  );
  const statuses = new Map<number, number>();
  const one = async ({ pieces }: { readonly pieces: readonly Buffer[] }): Promise<void> => {
    const { status, head, body, text } = await sendRaw(server.url, pieces, undefined, true);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status !== 0) assertRaw(status, head, body);
    assertNoLeak(text, '');
  };
  await fc.assert(
    // Several at a time: most of the time is the network's.
    fc.asyncProperty(fc.array(arbitrary, { minLength: 8, maxLength: 8 }), async (requests) => {
      await Promise.all(requests.map(one));
      assertNothingStrange();
    }),
    { seed: SEED, numRuns: SOCKETS / 8 },
  );
  // Some are answered by the app, and not all by the parser of HTTP.
  expect(statuses.get(404) ?? 0).toBeGreaterThan(SOCKETS / 20);
  expect(statuses.get(200) ?? 0).toBeGreaterThan(0);
}, 120_000);

/** Which protocol it was for is not always clear; every error has a message. */
function assertRaw(status: number, head: string, text: string): void {
  if (status < 200 || status >= 500) throw new Error(`status ${status}: ${text.slice(0, 500)}`);
  // An answer to HEAD has no body, whatever length it says; the next answer follows.
  if (status < 400 || text === '' || text.startsWith('HTTP/1.1 ')) return;
  expect(head).toMatch(/content-type: application\/json/i);
  const body = JSON.parse(text) as { readonly error?: unknown };
  expect(body.error ?? body).toMatchObject({ message: TEXT });
}

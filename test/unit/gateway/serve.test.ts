import { connect } from 'node:net';
import { TransientError } from '../../../src/errors';
import { serveGateway } from '../../../src/gateway/http/serve';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { chat, createFixture } from './gateway-fixture';

const post = (url: string, key: string, body: unknown): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });

describe('a served gateway', () => {
  test('listens on loopback, on a free port', async () => {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app);
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await post(server.url, gateway.session(), chat())).status).toBe(200);
    await server.close();
    await expect(fetch(server.url)).rejects.toThrow();
  });

  test('answers as the app itself does, headers included', async () => {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app);
    const key = gateway.session(); // its draw is fixed
    for (const body of [chat({ user: 'umlaut: ä' }), chat({ model: 'nothing' })]) {
      const served = await post(server.url, key, body);
      const direct = await gateway.post('/v1/chat/completions', key, body);
      expect(served.status).toBe(direct.status);
      const names = (headers: Headers): string[] =>
        [...headers.keys()].filter(
          (name) => !['connection', 'date', 'keep-alive', 'content-length'].includes(name),
        );
      expect(names(served.headers)).toEqual(names(direct.headers));
      expect(await served.json()).toEqual(direct.body);
    }
    const head = await fetch(`${server.url}/healthz`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    await server.close();
  });

  test('says when its port is taken', async () => {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app);
    const port = Number(new URL(server.url).port);
    await expect(serveGateway(gateway.app, { port })).rejects.toThrow(TransientError);
    await server.close();
  });

  test('lets the calls under way finish when it closes, kept-alive connections or not', async () => {
    const gateway = await createFixture({
      recorder: {
        record: () => new Promise((resolve) => setTimeout(resolve, 200)),
        begin: () => () => undefined,
        recordFailure: () => undefined,
      },
    });
    const server = await serveGateway(gateway.app);
    const call = post(server.url, gateway.session(), chat());
    await new Promise((resolve) => setTimeout(resolve, 100));
    const startedAt = Date.now();
    await server.close();
    expect(Date.now() - startedAt).toBeLessThan(2_000);
    expect((await call).status).toBe(200);
  });

  test('cuts what does not finish in time', async () => {
    const gateway = await createFixture({
      recorder: {
        record: () => new Promise(() => undefined),
        begin: () => () => undefined,
        recordFailure: () => undefined,
      },
    });
    const server = await serveGateway(gateway.app);
    const call = post(server.url, gateway.session(), chat()).catch(() => 'cut');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server.close(50);
    expect(await call).toBe('cut');
  });

  test('answers 413 to a 10 MiB body without reading it, and 401 before any of it', async () => {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app);
    // Only the head is ever sent: an answer proves that nothing waited for the body.
    const status = (key: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(server.url);
        const socket = connect(Number(port), hostname);
        socket.once('data', (chunk) => {
          resolve(chunk.toString().slice(9, 12));
          socket.destroy();
        });
        socket.once('error', reject);
        socket.write(
          `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-length: 10485760\r\n\r\n`,
        );
      });
    expect(await status(gateway.session())).toBe('413');
    expect(await status('rks-x')).toBe('401');
    // A client that sends it all still gets to read the answer.
    const large = await post(server.url, gateway.session(), { x: 'y'.repeat(10 * 1024 * 1024) });
    expect(large.status).toBe(413);
    await server.close();
  });

  test('stops reading a body that turns out too large', async () => {
    const gateway = await createFixture({ bodyLimitBytes: 1_000 });
    const server = await serveGateway(gateway.app);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 100; i++) yield new Uint8Array(100);
    }
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.session()}` },
      body: chunks(),
      duplex: 'half',
    });
    expect(response.status).toBe(413);
    await server.close();
  });
});

test('a client that goes while its call is being noted leaves nobody at work, and its upstream in good name', async () => {
  let noted = (): void => undefined;
  let isOpening = false;
  const closed: [string, number][] = [];
  const upstreams = createFakeUpstreams({
    upstreams: { main: { url: 'http://main.example/v1' } },
    models: { m: [{ upstream: 'main' }] },
  });
  const chunk = { choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }] };
  upstreams.answerEvents([`data: ${JSON.stringify(chunk)}\n\n`]);
  const gateway = await createFixture({
    upstreams,
    recorder: {
      intents: {
        open: () => {
          isOpening = true;
          return new Promise((resolve) => (noted = resolve));
        },
        close: (id, status) => void closed.push([id, status]),
      },
      begin: () => () => undefined,
      record: async () => undefined,
      recordFailure: () => undefined,
    },
  });
  const server = await serveGateway(gateway.app);
  const client = new AbortController();
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  const call = fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: 'x' }] }),
    signal: client.signal,
  }).catch(() => 'gone');
  while (!isOpening) await new Promise((resolve) => setTimeout(resolve, 5));
  client.abort();
  expect(await call).toBe('gone');
  await new Promise((resolve) => setTimeout(resolve, 50)); // until the server has seen it
  noted();
  while (closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await server.close(0);
  expect(closed).toEqual([[expect.any(String), 499]]);
  const { running, errors } = upstreams.health.status('main');
  expect({ running, errors }).toEqual({ running: 0, errors: {} });
});

import { createServer, type ServerResponse } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { createHttpUpstreams } from '../../src/adapters/upstream-http/http-upstreams';
import type { Upstream, UpstreamResponse } from '../../src/gateway/upstreams/upstream';
import { createLocalServers } from '../helpers/local-servers';

// Real sockets: what a fake upstream cannot show.

const { listen, serve, nobody, close } = createLocalServers();
const transport = createHttpUpstreams();

afterAll(async () => {
  await transport.close();
  close();
});

let upstreams = 0;
function upstreamAt(url: string, timeouts: Partial<Upstream['timeouts']> = {}): Upstream {
  return {
    ...{ name: `up-${++upstreams}`, url, protocols: ['chat'], key: null, tokenIds: false },
    timeouts: { connect: 1_000, firstByte: 5_000, idle: 5_000, ...timeouts },
  };
}

function send(
  upstream: Upstream,
  signal = new AbortController().signal,
): Promise<UpstreamResponse> {
  return transport.send(upstream, { path: '/chat/completions', headers: {}, body: '{}', signal });
}

async function textOf({ body }: UpstreamResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('sends the body as it is, and asks for an answer that is not packed', async () => {
  const seen: { url?: string; headers?: object; body?: string } = {};
  const url = await listen(
    createServer((request, response) => {
      Object.assign(seen, { url: request.url, headers: request.headers });
      void text(request).then((body) => {
        seen.body = body;
        response.writeHead(201, { 'x-request-id': 'r1' }).end('ok');
      });
    }),
  );
  const response = await transport.send(upstreamAt(url), {
    ...{ path: '/chat/completions', body: '{"a": 1.0}', signal: new AbortController().signal },
    headers: { authorization: 'Bearer k' },
  });
  expect(response).toMatchObject({ status: 201, headers: { 'x-request-id': 'r1' } });
  expect(await textOf(response)).toBe('ok');
  expect(seen).toMatchObject({
    ...{ url: '/v1/chat/completions', body: '{"a": 1.0}' },
    headers: { authorization: 'Bearer k', 'accept-encoding': 'identity' },
  });
});

test('gives each piece of an answer as soon as it has come', async () => {
  let response: ServerResponse | undefined;
  const url = await serve((opened) => {
    response = opened;
    opened.write('one');
  });
  const { body } = await send(upstreamAt(url));
  const pieces = body[Symbol.asyncIterator]();
  expect(Buffer.from((await pieces.next()).value as Uint8Array).toString()).toBe('one');
  response?.end('two');
  expect(Buffer.from((await pieces.next()).value as Uint8Array).toString()).toBe('two');
  expect((await pieces.next()).done).toBe(true);
});

test('does not follow a redirect: keys go to the configured server and no other', async () => {
  let visits = 0;
  const other = await serve((response) => void (visits++, response.end()));
  const url = await serve((response) => void response.writeHead(307, { location: other }).end());
  expect((await send(upstreamAt(url))).status).toBe(307);
  expect(visits).toBe(0);
});

test('an upstream that is not there is unreachable', async () => {
  const url = await nobody();
  await expect(send(upstreamAt(url))).rejects.toMatchObject({ fault: 'unreachable' });
});

test('one that does not begin to answer is slow', async () => {
  const url = await serve(() => undefined);
  await expect(send(upstreamAt(url, { firstByte: 300 }))).rejects.toMatchObject({ fault: 'slow' });
});

test('one that stops in the middle is slow', async () => {
  const url = await serve((response) => void response.write('half'));
  const response = await send(upstreamAt(url, { idle: 300 }));
  await expect(textOf(response)).rejects.toMatchObject({ fault: 'slow' });
});

test.each(['before', 'in the middle of'])('one that resets %s its answer is cut', async (when) => {
  const url = await serve((response) => {
    if (when !== 'before') response.write('half');
    setTimeout(() => response.destroy(), 20);
  });
  const asked = send(upstreamAt(url)).then(textOf);
  await expect(asked).rejects.toMatchObject({ fault: 'cut' });
});

test('one that does not speak HTTP sends garbage', async () => {
  const url = await listen(
    createTcpServer((socket) => void socket.end('hello, who is there?\r\n')),
  );
  await expect(send(upstreamAt(url))).rejects.toMatchObject({ fault: 'garbage' });
});

test('when nobody waits any more, the upstream is told', async () => {
  const closed = new Promise<void>((resolve) => {
    void serve((response) => {
      response.once('close', resolve);
      response.write('half');
    }).then(async (url) => {
      const controller = new AbortController();
      const response = await send(upstreamAt(url), controller.signal);
      controller.abort();
      await textOf(response).catch(() => undefined);
    });
  });
  await closed;
});

test('an upstream is read as fast as the answer is taken, and none of it is lost', async () => {
  const total = 64 * 1024 * 1024;
  const written: Buffer[] = Array.from({ length: 64 }, (_, i) => Buffer.alloc(1024 * 1024, i));
  let socket: ServerResponse['socket'] = null;
  const url = await serve((response) => {
    ({ socket } = response);
    for (const piece of written) response.write(piece);
    response.end();
  });
  const { body } = await send(upstreamAt(url));
  const pieces = body[Symbol.asyncIterator]();
  const first = (await pieces.next()).value as Uint8Array;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((socket as ServerResponse['socket'])?.bytesWritten).toBeGreaterThan(0);
  expect((socket as ServerResponse['socket'])?.writableLength).toBeGreaterThan(total / 2);
  const read = [first];
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    read.push(next.value);
  }
  expect(Buffer.concat(read).equals(Buffer.concat(written))).toBe(true);
});

test('what came before an answer broke off is given before the fault', async () => {
  const url = await serve((response) => {
    response.write('half', () => response.socket?.destroy());
  });
  const { body } = await send(upstreamAt(url));
  const pieces = body[Symbol.asyncIterator]();
  expect(Buffer.from((await pieces.next()).value as Uint8Array).toString()).toBe('half');
  await expect(pieces.next()).rejects.toMatchObject({ fault: 'cut' });
});

test.each(['before it has answered', 'because the reader has enough'])(
  'an upstream is told when nobody waits any more, %s',
  async (when) => {
    const controller = new AbortController();
    const hasEnough = when.startsWith('because');
    let onClosed = (): void => undefined;
    const closed = new Promise<void>((resolve) => (onClosed = resolve));
    const url = await serve((response) => {
      response.once('close', onClosed);
      if (hasEnough) response.write('half');
      else controller.abort(new Error('the client has gone'));
    });
    const asked = send(upstreamAt(url), controller.signal);
    if (hasEnough) {
      const pieces = (await asked).body[Symbol.asyncIterator]();
      await pieces.next();
      await pieces.return?.();
    } else await expect(asked).rejects.toMatchObject({ fault: 'cut' });
    await closed;
  },
);

test('a client that has gone before its upstream is asked asks nobody', async () => {
  let asked = 0;
  const url = await serve((response) => {
    asked++;
    response.end();
  });
  const gone = AbortSignal.abort(new Error('the client has gone'));
  await expect(send(upstreamAt(url), gone)).rejects.toMatchObject({ fault: 'cut' });
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(asked).toBe(0);
});

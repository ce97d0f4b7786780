import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveGateway, type ServedGateway } from '../../../src/gateway/http/serve';
import { sendRaw } from '../../helpers/raw-http';
import type { Fixture } from './gateway-fixture';
import { chat, createFixture } from './gateway-fixture';

const TIMEOUTS = { head: 200, request: 400, keepAlive: 200 };

let gateway: Fixture;
let server: ServedGateway;
beforeAll(async () => {
  gateway = await createFixture();
  server = await serveGateway(gateway.app, { timeouts: TIMEOUTS });
});
afterAll(() => server.close(0));

const post = (...headers: string[]): string =>
  [
    'POST /v1/chat/completions HTTP/1.1',
    'host: x',
    `authorization: Bearer ${gateway.session()}`,
    ...headers,
    '\r\n',
  ].join('\r\n');
const errorOf = (body: string): unknown => (JSON.parse(body) as { error: unknown }).error;

describe('a client that takes its time', () => {
  test('with the head of its request is cut off, and told so', async () => {
    const { status, body } = await sendRaw(server.url, ['GET /healthz HTTP/1.1\r\nhost: x\r\n']);
    expect(status).toBe(408);
    expect(errorOf(body)).toMatchObject({ code: 'request_timeout', type: 'invalid_request_error' });
  });

  test('with each byte of it, too', async () => {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined).resume();
    let isOpen = true;
    void closed.then(() => (isOpen = false));
    socket.write('GET /healthz HTTP/1.1\r\n');
    for (let i = 0; isOpen && i < 100; i++) {
      socket.write(`x-${i}: y\r\n`);
      await sleep(50);
    }
    expect(isOpen).toBe(false);
  });

  test('with the body', async () => {
    const { status, body } = await sendRaw(server.url, [post('content-length: 100'), '{']);
    expect(status).toBe(408);
    expect(errorOf(body)).toMatchObject({ code: 'request_timeout' });
  });

  test('by saying nothing at all is cut off', async () => {
    expect((await sendRaw(server.url, [])).status).toBe(408);
  });
});

describe('what is no HTTP is answered in the shape of every other error', () => {
  test.each<[string, () => string, number]>([
    ['noise', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400],
    ['another protocol', () => 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 400],
    ['HTTP/9', () => 'GET / HTTP/9.9\r\nhost: x\r\n\r\n', 400],
    ['no host', () => 'GET /healthz HTTP/1.1\r\n\r\n', 400],
    ['an impossible host', () => 'GET /healthz HTTP/1.1\r\nhost: a b@c/d\r\n\r\n', 400],
    ['a target that is no path', () => 'GET healthz HTTP/1.1\r\nhost: x\r\n\r\n', 400],
    ['an expectation that nobody has', () => post('expect: tea', 'content-length: 2'), 417],
    ['a line end within a header', () => post('x-ratchet-session: a\nb'), 400],
    ['a null byte within a header', () => post('x-ratchet-session: a\0b'), 400],
    ['two lengths', () => post('content-length: 1', 'content-length: 2'), 400],
    ['a length that is none', () => post('content-length: +1'), 400],
    ['a negative length', () => post('content-length: -1'), 400],
    ['a length and chunks', () => post('content-length: 2', 'transfer-encoding: chunked'), 400],
    ['chunks that are not last', () => post('transfer-encoding: chunked, identity'), 400],
    ['a space before a colon', () => post('transfer-encoding : chunked'), 400],
    ['a folded header', () => post('x-a: b\r\n c: d', 'content-length : 3'), 400],
    ['a chunk of no size', () => `${post('transfer-encoding: chunked')}zz\r\n`, 400],
    ['a chunk too long', () => `${post('transfer-encoding: chunked')}${'f'.repeat(40)}\r\n`, 400],
    ['a large head', () => post(`x-large: ${'y'.repeat(20_000)}`), 431],
    ['100,000 headers', () => post(...Array.from({ length: 100_000 }, (_, i) => `x${i}: y`)), 431],
  ])('%s', async (_, bytes, expected) => {
    const { status, head, body } = await sendRaw(server.url, [bytes()]);
    expect(status).toBe(expected);
    expect(head).toMatch(/content-type: application\/json/i);
    expect(errorOf(body)).toMatchObject({ type: 'invalid_request_error', param: null });
  });

  test('and what was smuggled behind it is not read as a request', async () => {
    const before = gateway.policies.calls.length;
    const body = JSON.stringify(chat());
    const inner = `${post(`content-length: ${body.length}`)}${body}`;
    const outer = post(`content-length: ${inner.length + 5}`, 'transfer-encoding: chunked');
    const { status, text } = await sendRaw(server.url, [`${outer}0\r\n\r\n${inner}`], () => false);
    expect(status).toBe(400);
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(gateway.policies.calls).toHaveLength(before);
  });
});

test('chunks may end anywhere', async () => {
  const key = gateway.session();
  const body = Buffer.from(JSON.stringify(chat({ user: 'ä€😀' })));
  const pieces = [
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ntransfer-encoding: chunked\r\n\r\n`,
    ...Array.from(body, (byte) =>
      Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]),
    ),
    '0\r\n\r\n',
  ];
  // With the time-outs that users have: how long so many pieces take is the machine's business.
  const patient = await serveGateway(gateway.app);
  try {
    expect((await sendRaw(patient.url, pieces)).status).toBe(200);
  } finally {
    await patient.close(0);
  }
});

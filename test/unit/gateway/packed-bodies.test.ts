import * as zlib from 'node:zlib';
import { ENCODINGS } from '../../../src/gateway/http/decode-body';
import { serveGateway } from '../../../src/gateway/http/serve';
import { createFixture } from './gateway-fixture';
import { openRelay } from './relay-fixture';

const CHAT = '/v1/chat/completions';
const CONFIG = {
  upstreams: { main: { url: 'https://llm.example/v1' } },
  models: { 'gpt-5': [{ upstream: 'main' }] },
};
const BODY = '{"model":"gpt-5","messages":[{"role":"user","content":"grüße"}],"x":1.0}';
const completion = {
  choices: [{ index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' }],
};

const PACKED: readonly (readonly [string, (text: string) => Uint8Array])[] = [
  ['gzip', zlib.gzipSync],
  ['GZIP', zlib.gzipSync],
  ['deflate', zlib.deflateSync],
  ['deflate', zlib.deflateRawSync],
  ['br', zlib.brotliCompressSync],
  ['identity', (text) => Buffer.from(text)],
];

async function ask(bytes: Uint8Array, encoding: string, limitBytes = 1_000_000) {
  const gateway = await openRelay(CHAT, CONFIG, { bodyLimitBytes: limitBytes });
  gateway.upstreams.answerJson(completion);
  const response = await gateway.app.request(CHAT, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.session()}`, 'content-encoding': encoding },
    body: new Blob([Uint8Array.from(bytes)]),
  });
  const { error } = (await response.json()) as { error?: { code: string; message: string } };
  return { status: response.status, error, sent: gateway.upstreams.requests };
}

test.each(PACKED)('a body packed with %s reaches the upstream unpacked', async (encoding, pack) => {
  const { status, sent } = await ask(pack(BODY), encoding);
  expect(status).toBe(200);
  expect(sent[0]?.body).toBe(BODY);
  expect(sent[0]?.headers).not.toHaveProperty('content-encoding');
});

test.each(PACKED.slice(0, 5))('a bomb packed with %s is a 413', async (encoding, pack) => {
  const bomb = pack(`{"model":"gpt-5","x":"${'a'.repeat(10_000_000)}"}`);
  expect(bomb.length).toBeLessThan(100_000);
  expect(await ask(bomb, encoding, 100_000)).toMatchObject({ status: 413, sent: [] });
});

test.each(PACKED.slice(0, 5))(
  'a body that ends too early for %s is a 400',
  async (encoding, pack) => {
    const { status, error } = await ask(pack(BODY).subarray(0, 20), encoding);
    expect([status, error?.code]).toEqual([400, 'invalid_content_encoding']);
  },
);

test('what is not packed as it says is a 400 that quotes nothing', async () => {
  const { status, error } = await ask(Buffer.from('secret'), 'gzip');
  expect([status, error?.code]).toEqual([400, 'invalid_content_encoding']);
  expect(error?.message).not.toContain('secret');
});

test.each(['compress', 'gzip, gzip', 'constructor', 'x'.repeat(500)])(
  'a packing that nobody knows is a 415 that names those that are: %s',
  async (encoding) => {
    const { status, error } = await ask(Buffer.from('x'), encoding);
    expect(status).toBe(415);
    expect(error?.message).toContain(ENCODINGS.join(', '));
  },
);

// Node has zstd from 22.15 on; before it, a client is told what else there is.
test('zstd is unpacked where Node can', async () => {
  const { zstdCompressSync } = zlib as { zstdCompressSync?: (text: string) => Buffer };
  const isKnown = zstdCompressSync !== undefined;
  expect(ENCODINGS.includes('zstd')).toBe(isKnown);
  const { status } = await ask(zstdCompressSync?.(BODY) ?? Buffer.from('x'), 'zstd');
  expect(status).toBe(isKnown ? 200 : 415);
});

test('a packed body is read from a socket as well', async () => {
  const gateway = await createFixture();
  const server = await serveGateway(gateway.app);
  try {
    const response = await fetch(server.url + CHAT, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.session()}`, 'content-encoding': 'br' },
      body: Uint8Array.from(zlib.brotliCompressSync('{"model":"nobody’s","messages":[{}]}')),
    });
    const { error } = (await response.json()) as { error: { param: string } };
    expect(error.param).toBe('messages[0].role');
  } finally {
    await server.close();
  }
});

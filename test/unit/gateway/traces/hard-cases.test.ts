import { gzipSync } from 'node:zlib';
import { TransientError } from '../../../../src/errors';
import { NO_REDACTION } from '../../../../src/gateway/recording/redaction';
import { createRedaction } from '../../../../src/privacy/redaction';
import { PrivacyConfig } from '../../../../src/schemas/privacy-config';
import type { TracesFixture } from './traces-fixture';
import { createTracesFixture } from './traces-fixture';
import { chatAttributes, request, span, text } from './trace-body';
import { readResponse, readRpcStatus, toProtobuf } from './trace-protobuf';

let traces: TracesFixture;

beforeEach(async () => {
  traces = await createTracesFixture();
});
afterEach(() => traces.close());

const idOf = (n: number): string => (n + 1).toString(16).padStart(16, '0');
const many = (count: number, attributes = chatAttributes()): object[] =>
  Array.from({ length: count }, (_, n) => span(attributes, { spanId: idOf(n) }));

/** As `send`, with bytes. */
async function post(body: Uint8Array<ArrayBuffer>, headers: object, of = traces) {
  const response = await of.gateway.app.request('/v1/traces', {
    ...{ method: 'POST', body },
    headers: { authorization: `Bearer ${of.key}`, ...headers },
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes };
}
const PROTOBUF = { 'content-type': 'application/x-protobuf' };

test('a batch of more model calls than the spool takes at once is recorded whole', async () => {
  const small = await createTracesFixture({}, { maxWaiting: 128 });
  try {
    expect(await small.send(request(...many(1_000)))).toMatchObject({ status: 200, body: {} });
    expect(small.gateway.counters.observed.recorded).toBe(1_000);
  } finally {
    await small.close();
  }
});

test('while a large batch is read, others get their turn', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await traces.send(
    request(...many(4_000, { 'http.request.method': 'GET', path: 'x'.repeat(500) })),
  );
  clearInterval(timer);
  expect(turns).toBeGreaterThan(1);
});

test('errors come in the encoding of the request', async () => {
  const cut = await post(Uint8Array.of(0x0a, 0x7f), PROTOBUF);
  expect([cut.status, cut.headers.get('content-type')]).toEqual([400, 'application/x-protobuf']);
  expect(readRpcStatus(cut.bytes)).toEqual({
    code: 3,
    message: 'the body is not valid protobuf: expected all that its lengths announce',
  });
  expect(await traces.send('{"resourceSpans":')).toMatchObject({ status: 400, body: { code: 3 } });
  expect(await traces.send({ resourceSpans: 1 })).toMatchObject({ status: 400, body: { code: 3 } });
  const nobody = await post(toProtobuf({}), { ...PROTOBUF, authorization: 'Bearer rk-no-key' });
  expect([nobody.status, readRpcStatus(nobody.bytes)]).toMatchObject([401, { code: 16 }]);
});

test('partial success comes in the encoding of the request', async () => {
  const body = request(span(chatAttributes()), span(chatAttributes(), { endMs: 0 }));
  const { status, bytes } = await post(toProtobuf(body), PROTOBUF);
  expect([status, readResponse(bytes)]).toEqual([
    200,
    {
      partialSuccess: {
        rejectedSpans: '1',
        errorMessage: '1 spans were rejected: it has not ended: expected endTimeUnixNano',
      },
    },
  ]);
  expect((await post(toProtobuf(request()), PROTOBUF)).bytes).toHaveLength(0);
});

test('what is neither JSON nor protobuf is a 415', async () => {
  const { status, bytes } = await post(Buffer.from('{}'), { 'content-type': 'application/grpc' });
  expect([status, JSON.parse(Buffer.from(bytes).toString())]).toEqual([
    415,
    {
      code: 3,
      message:
        'the content-type is not known here: expected application/x-protobuf or application/json',
    },
  ]);
});

test('a batch may be larger than a call, and has its own bound, unpacked too', async () => {
  const body = request(span(chatAttributes({ more: 'x'.repeat(6_000_000) })));
  expect((await traces.send(body)).status).toBe(200);
  const zip = Uint8Array.from(gzipSync(toProtobuf(body)));
  expect((await post(zip, { ...PROTOBUF, 'content-encoding': 'gzip' })).status).toBe(200);
  const bomb = Uint8Array.from(gzipSync(Buffer.alloc(20_000_000)));
  expect(bomb.length).toBeLessThan(100_000);
  const { status, bytes } = await post(bomb, { ...PROTOBUF, 'content-encoding': 'gzip' });
  expect([status, readRpcStatus(bytes)]).toMatchObject([413, { code: 8 }]);
});

test.each([
  ['is nested too deeply', '['.repeat(1_000_000)],
  ['is nested too deeply', `${'['.repeat(5_000)}${']'.repeat(5_000)}`],
  ['too many parts', `[${'{},'.repeat(100_000)}{}]`],
  ['is no JSON', '[{"role":"user","parts":[{"type":"te'],
  ['is no JSON', '{"role":"user"}'],
])('JSON in an attribute that %s costs its span only', async (why, json) => {
  for (const name of ['gen_ai.input.messages', 'gen_ai.output.messages']) {
    const bad = span(chatAttributes({ [name]: json }), { spanId: idOf(7) });
    const { status, body } = await traces.send(request(bad, span(chatAttributes())));
    expect([status, body['partialSuccess']]).toMatchObject([
      200,
      { rejectedSpans: '1', errorMessage: expect.stringContaining(why) as string },
    ]);
  }
  expect(await traces.calls()).toHaveLength(1);
});

test('all JSON in the attributes of one request has one bound', async () => {
  const attributes = chatAttributes({
    'gen_ai.tool.definitions': `[${'{},'.repeat(40_000)}{}]`,
  });
  const { body } = await traces.send(request(...many(40, attributes)));
  const { recorded, rejected } = traces.gateway.counters.observed;
  expect([recorded, rejected]).toEqual([24, 16]);
  expect(body['partialSuccess']).toMatchObject({ rejectedSpans: '16' });
});

test('a fault on our side costs the one call, is told and logged, and is no reason to send it again', async () => {
  const faulty = await createTracesFixture({
    redaction: {
      ...NO_REDACTION,
      call: ({ user: _, ...call }) => {
        if (JSON.stringify([...call.messages.values()]).includes('poison'))
          throw new Error('a bug');
        return call;
      },
    },
  });
  try {
    const poison = JSON.stringify([{ role: 'user', parts: [text('poison')] }]);
    const bad = span(chatAttributes({ 'gen_ai.input.messages': poison }), { spanId: idOf(1) });
    const { status, body } = await faulty.send(request(bad, span(chatAttributes())));
    expect([status, body['partialSuccess']]).toMatchObject([200, { rejectedSpans: '1' }]);
    expect(faulty.gateway.log).toMatchObject([{ level: 'error', error: 'a bug' }]);
    expect(JSON.stringify(faulty.gateway.log)).not.toContain('poison');
    expect(await faulty.calls()).toHaveLength(1);
  } finally {
    await faulty.close();
  }
});

test('a disk that fails for a while is a 503, and the same batch again is recorded once', async () => {
  let left = 3;
  const broken = await createTracesFixture({}, {}, (recorder) => ({
    ...recorder,
    async record(call) {
      if (--left === 0) throw new TransientError('the disk failed', { retryAfterMs: 2_000 });
      await recorder.record(call);
    },
  }));
  try {
    const body = request(...many(5));
    const first = await post(toProtobuf(body), PROTOBUF, broken);
    expect([first.status, first.headers.get('retry-after')]).toEqual([503, '2']);
    expect(readRpcStatus(first.bytes)).toMatchObject({ code: 14 });
    expect(broken.gateway.counters.observed.recorded).toBe(0);
    expect((await post(toProtobuf(body), PROTOBUF, broken)).status).toBe(200);
    expect(broken.gateway.counters.observed.recorded).toBe(5);
    expect(await broken.calls()).toHaveLength(5);
  } finally {
    await broken.close();
  }
});

test('a call that failed is no call whose messages are missing', async () => {
  const failed = { ...span(chatAttributes({ 'gen_ai.output.messages': '' })), status: { code: 2 } };
  expect(await traces.send(request(failed))).toMatchObject({ status: 200, body: {} });
  expect((await post(toProtobuf(request(failed)), PROTOBUF)).bytes).toHaveLength(0);
  expect(traces.gateway.counters.observed).toMatchObject({ skipped: 2, silent: 0 });
});

test('secrets in any part of a span are in nothing that is written', async () => {
  const SECRET = 'wilhelmina.quist@example-mail.org';
  const hides = await createTracesFixture({
    redaction: createRedaction(PrivacyConfig.parse({}), new Uint8Array(32).fill(2)),
  });
  try {
    const said = [{ role: 'user', parts: [text(`I am ${SECRET}`), { type: 'blob', uri: SECRET }] }];
    const call = { type: 'tool_call', id: 'c', name: 'mail', arguments: { to: SECRET } };
    const attributes = chatAttributes({
      'gen_ai.conversation.id': `talk of ${SECRET}`,
      ...{ 'user.id': SECRET, 'gen_ai.response.id': SECRET, 'gen_ai.response.model': SECRET },
      ...{ 'gen_ai.provider.name': SECRET, 'gen_ai.response.finish_reasons': [SECRET] },
      'gen_ai.input.messages': JSON.stringify(said),
      'gen_ai.output.messages': JSON.stringify([
        { role: 'assistant', parts: [call], finish_reason: SECRET },
      ]),
      'gen_ai.tool.definitions': JSON.stringify([
        { type: 'function', name: 'mail', description: `as ${SECRET}` },
      ]),
      'gen_ai.system_instructions': `speak to ${SECRET}`,
      other: SECRET,
    });
    expect(await hides.send(request(span(attributes)))).toMatchObject({ status: 200, body: {} });
    const [conversation] = await hides.conversations();
    expect(conversation?.calls).toHaveLength(1);
    const written: string[] = [];
    for await (const { key } of hides.store.list('v1/'))
      written.push(key, Buffer.from((await hides.store.get(key)).bytes).toString());
    const bytes = written.join('\n');
    expect(bytes.length).toBeGreaterThan(1_000);
    expect(bytes).not.toContain(SECRET);
    // Nor in the decision's id, which says its session in base64.
    const id = conversation?.calls[0]?.decision.id.slice('chatcmpl-'.length) ?? '';
    expect(Buffer.from(id, 'base64url').toString('latin1')).not.toContain('wilhelmina');
    // Feedback by the name as the agent knows it finds the session.
    const feedback = { session: `talk of ${SECRET}`, value: 1 };
    expect((await hides.gateway.post('/v1/feedback', hides.key, feedback)).status).toBe(200);
    const [again] = await hides.conversations();
    expect(again?.calls[0]?.sessionFeedback).toMatchObject([{ value: 1 }]);
  } finally {
    await hides.close();
  }
});

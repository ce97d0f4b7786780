import fc from 'fast-check';
import { chatAttributes, request, span } from './trace-body';
import { readResponse, readRpcStatus, toProtobuf } from './trace-protobuf';
import type { TracesFixture } from './traces-fixture';
import { createTracesFixture } from './traces-fixture';

const RUNS = 3_000;
const SEED = 20_261_126;

let traces: TracesFixture;
beforeAll(async () => {
  traces = await createTracesFixture();
});
afterAll(() => traces.close());

const VALID = Buffer.from(toProtobuf(request(span(chatAttributes()), span({ 'http.route': '/' }))));
const byte = fc.nat(255);
const place = fc.nat(VALID.length - 1);

/** A tag of a message in a message in a message …, each as long as all that follows. */
const nested = fc
  .tuple(fc.integer({ min: 1, max: 5_000 }), fc.constantFrom(0x0a, 0x12, 0x2a, 0x32, 0x4a, 0x5a))
  .map(([depth, tag]) => {
    let bytes = Buffer.alloc(0);
    for (let i = 0; i < depth && bytes.length < 120; i++) {
      bytes = Buffer.concat([Buffer.from([tag, bytes.length]), bytes]);
    }
    return Buffer.concat([
      Buffer.from(Array.from({ length: depth }, () => [tag, 0x7f]).flat()),
      bytes,
    ]);
  });

const mutated: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.array(fc.tuple(place, byte), { minLength: 1, maxLength: 8 }).map((changes) => {
    const bytes = Buffer.from(VALID);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  }),
  place.map((end) => VALID.subarray(0, end)),
  fc
    .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 40 }))
    .map(([at, inserted]) => Buffer.concat([VALID.subarray(0, at), inserted, VALID.subarray(at)])),
  // A number that never ends, wherever one may stand.
  fc
    .tuple(place, fc.integer({ min: 9, max: 200 }))
    .map(([at, length]) => Buffer.concat([VALID.subarray(0, at), Buffer.alloc(length, 0xff)])),
  nested,
);

test(`${RUNS} bodies that are no protobuf, or another one: each is answered, and none is our fault`, async () => {
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(mutated, async (body) => {
      const response = await traces.gateway.app.request('/v1/traces', {
        ...{ method: 'POST', body: Uint8Array.from(body) },
        headers: {
          authorization: `Bearer ${traces.key}`,
          'content-type': 'application/x-protobuf',
        },
      });
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      const bytes = new Uint8Array(await response.arrayBuffer());
      expect(response.headers.get('content-type')).toBe('application/x-protobuf');
      if (response.status === 200) return void readResponse(bytes);
      expect([response.status, readRpcStatus(bytes)]).toEqual([
        400,
        { code: 3, message: expect.any(String) as string },
      ]);
    }),
    { numRuns: RUNS, seed: SEED },
  );
  // Both ways were taken, often.
  expect(statuses.get(200)).toBeGreaterThan(RUNS / 20);
  expect(statuses.get(400)).toBeGreaterThan(RUNS / 20);
}, 60_000);

import { Readable } from 'node:stream';
import { z } from 'zod';
import {
  ConflictError,
  IntegrityError,
  InvalidInputError,
  NotFoundError,
} from '../../../src/errors';
import {
  readEvaluation,
  readJson,
  readJsonLines,
  streamJsonLines,
  writeEvaluation,
  writeJsonLines,
} from '../../../src/storage/json-objects';
import { evaluationKey } from '../../../src/storage/keys';
import { ObjectRef } from '../../../src/schemas/object-ref';
import { putRef, readRef } from '../../../src/storage/object-ref';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';

const Row = z.strictObject({ id: z.string(), value: z.number() });
const rows = [
  { value: 0.5, id: 'a' },
  { id: 'line\nbreak \u2028', value: -1 },
];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let store: ObjectStore;
beforeEach(() => {
  store = createMemoryObjectStore();
});

describe('a segment of JSON lines', () => {
  it('is read back by key and by reference', async () => {
    const ref = await writeJsonLines(store, 'v1/s.jsonl', rows);
    expect(ObjectRef.parse(ref)).toEqual(ref);
    expect(await readJsonLines(store, 'v1/s.jsonl', Row)).toEqual(rows);
    expect(await readJsonLines(store, ref, Row)).toEqual(rows);
    const text = new TextDecoder().decode((await store.get('v1/s.jsonl')).bytes);
    expect(text.split('\n')).toHaveLength(3);
    expect(text.startsWith('{"id":"a","value":0.5}\n')).toBe(true);
  });

  it('may have no rows', async () => {
    const ref = await writeJsonLines(store, 'v1/s.jsonl', []);
    expect([ref.sizeBytes, await readJsonLines(store, ref, Row)]).toEqual([0, []]);
  });

  it('can be written again with the same rows, and not with others', async () => {
    const ref = await writeJsonLines(store, 'v1/s.jsonl', rows);
    expect(await writeJsonLines(store, 'v1/s.jsonl', rows)).toEqual(ref);
    await expect(writeJsonLines(store, 'v1/s.jsonl', [])).rejects.toThrow(ConflictError);
    expect(await readJsonLines(store, ref, Row)).toEqual(rows);
  });

  it('comes out the same when its rows are streamed', async () => {
    const many = Array.from({ length: 20_000 }, (_, value) => ({
      value,
      id: 'streamed'.repeat(9),
    }));
    const ref = await streamJsonLines(store, 'v1/streamed.jsonl', Readable.from(many));
    expect(ref).toEqual({
      ...(await writeJsonLines(store, 'v1/s.jsonl', many)),
      key: 'v1/streamed.jsonl',
    });
    expect(await streamJsonLines(store, 'v1/none.jsonl', Readable.from([]))).toMatchObject({
      sizeBytes: 0,
    });
  });

  it('that is streamed holds few of its rows at a time', async () => {
    let made = 0;
    async function* many(): AsyncGenerator<unknown> {
      for (; made < 20_000; made += 1) yield { id: 'x'.repeat(90), value: made };
    }
    const madeAtFirst: number[] = [];
    const watched: ObjectStore = {
      ...store,
      put: async (key, body, options) => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of body as AsyncIterable<Uint8Array>) {
          if (chunks.push(chunk) === 1) madeAtFirst.push(made);
        }
        return store.put(key, Buffer.concat(chunks), options);
      },
    };
    await streamJsonLines(watched, 'v1/s.jsonl', many());
    expect(madeAtFirst[0]).toBeLessThan(4_000);
  });

  it('whose rows fail on the way is not written, and the error is passed on', async () => {
    async function* failing(): AsyncGenerator<unknown> {
      yield { id: 'a', value: 1 };
      throw new NotFoundError('the second row is gone');
    }
    const written = streamJsonLines(store, 'v1/s.jsonl', failing());
    await expect(written).rejects.toThrow('the second row is gone');
    expect(await store.head('v1/s.jsonl')).toBeNull();
  });

  it('takes streamed rows under a taken key only if they are the same', async () => {
    const ref = await streamJsonLines(store, 'v1/s.jsonl', Readable.from(rows));
    await expect(
      streamJsonLines(store, 'v1/s.jsonl', Readable.from(rows.slice(1))),
    ).rejects.toThrow(ConflictError);
    expect(await readJsonLines(store, ref, Row)).toEqual(rows);
  });

  it('takes no row that is not JSON, and then writes nothing', async () => {
    await expect(writeJsonLines(store, 'v1/s.jsonl', [{ value: NaN }])).rejects.toThrow(
      InvalidInputError,
    );
    expect(await store.head('v1/s.jsonl')).toBeNull();
  });

  it.each([
    ['of another schema', '{"id":"a","value":1}\n{"id":"b","value":"x"}\n', /line=2/],
    ['with an unknown field', '{"id":"a","value":1,"extra":0}\n', /line=1/],
    ['that is not JSON', '{"id":"a","value":1}\n{"id":"a","value":1}\n{"id"\n', /line=3/],
    ['that is empty', '\n', /line=1/],
  ])('with a line %s is refused, naming the line', async (_, text, line) => {
    await store.put('v1/s.jsonl', bytes(text));
    const reading = readJsonLines(store, 'v1/s.jsonl', Row);
    await expect(reading).rejects.toThrow(IntegrityError);
    await expect(reading).rejects.toThrow(line);
  });

  it('that is cut off or is not UTF-8 is refused', async () => {
    await store.put('v1/s.jsonl', bytes('{"id":"a","value":1}\n{"id":"b","value":2}'));
    await expect(readJsonLines(store, 'v1/s.jsonl', Row)).rejects.toThrow(/cut off/);
    await store.put('v1/s.jsonl', Uint8Array.of(0x22, 0xff, 0x22, 0x0a));
    await expect(readJsonLines(store, 'v1/s.jsonl', z.string())).rejects.toThrow(/UTF-8/);
  });

  it('is refused by reference if a single byte was changed', async () => {
    const ref = await writeJsonLines(store, 'v1/s.jsonl', rows);
    await store.put('v1/s.jsonl', bytes('{"id":"a","value":0.25}\n'));
    await expect(readJsonLines(store, ref, Row)).rejects.toThrow(IntegrityError);
    await store.delete('v1/s.jsonl');
    await expect(readJsonLines(store, ref, Row)).rejects.toThrow(NotFoundError);
  });
});

it('bytes behind a reference are checked when they are read', async () => {
  const ref = await putRef(store, 'v1/state', bytes('state'));
  expect(await readRef(store, ref)).toEqual(bytes('state'));
  await expect(readRef(store, { ...ref, sizeBytes: 4 })).rejects.toThrow(IntegrityError);
  await expect(putRef(store, 'v1/state', bytes('other'))).rejects.toThrow(ConflictError);
});

it('an evaluation is found by the digest of its content, and refused when it was changed', async () => {
  const digest = await writeEvaluation(store, rows[0]);
  expect(await writeEvaluation(store, { id: 'a', value: 0.5 })).toBe(digest);
  expect(await readEvaluation(store, digest, Row)).toEqual(rows[0]);
  expect(await readJson(store, evaluationKey(digest), Row)).toEqual(rows[0]);
  await expect(readEvaluation(store, digest, z.string())).rejects.toThrow(IntegrityError);
  await store.put(evaluationKey(digest), bytes('{"id":"a","value":1}'));
  await expect(readEvaluation(store, digest, Row)).rejects.toThrow(IntegrityError);
});

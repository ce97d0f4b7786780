import { createHash, randomBytes } from 'node:crypto';
import { IntegrityError, InvalidInputError, NotFoundError } from '../../src/errors';
import type { ListOptions, ObjectStore, PutOutcome } from '../../src/storage/object-store';
import {
  type CompiledStore,
  type Writer,
  type WriterJob,
  raceWriters,
  collectOutput,
  startWriter,
} from '../helpers/store-writers';

export interface StoreUnderTest {
  readonly store: ObjectStore;
  /** How another process makes the same store. */
  readonly compiled?: CompiledStore;
  close(): Promise<void>;
}

const WRITERS = 32;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (got: Uint8Array): string => new TextDecoder().decode(got);

async function keysOf(
  store: ObjectStore,
  prefix: string,
  options?: ListOptions,
): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, options)) keys.push(key);
  return keys;
}

async function streamed(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return new Uint8Array(Buffer.concat(all));
}

async function committedEtag(outcome: Promise<PutOutcome>): Promise<string> {
  const got = await outcome;
  if (!got.committed) throw new Error('expected the put to commit');
  return got.etag;
}

/** What a store need not do, each with the reason why not. */
export interface ContractLimits {
  /** No other process can use it. */
  readonly oneProcess?: string;
  /** It takes a key below another key. No key of ours is one (keys.ts), so that nothing depends on being refused. */
  readonly noFolders?: string;
}

/** What every adapter of the ObjectStore port must do. `make` gives a new, empty store. */
export function objectStoreContract(
  name: string,
  make: () => Promise<StoreUnderTest>,
  { oneProcess, noFolders }: ContractLimits = {},
): void {
  describe(`${name} keeps the contract of ObjectStore`, () => {
    let under: StoreUnderTest;
    let store: ObjectStore;
    beforeEach(async () => {
      under = await make();
      ({ store } = under);
    });
    afterEach(() => under.close());

    describe('reading and writing', () => {
      it('gives back the bytes that were put, with the etag of the put', async () => {
        const etag = await committedEtag(store.put('v1/a', bytes('one')));
        const got = await store.get('v1/a');
        expect([text(got.bytes), got.etag]).toEqual(['one', etag]);
        expect(await store.head('v1/a')).toEqual({ etag, sizeBytes: 3 });
      });

      it('holds an object of no bytes', async () => {
        await store.put('v1/empty', new Uint8Array(0));
        expect((await store.get('v1/empty')).bytes.byteLength).toBe(0);
        expect((await streamed(store.getStream('v1/empty'))).byteLength).toBe(0);
        expect((await store.head('v1/empty'))?.sizeBytes).toBe(0);
      });

      it('gives bytes that start their own buffer, so that typed arrays can be views on them', async () => {
        await store.put('v1/floats', new Uint8Array(Float64Array.of(1.5, -2).buffer));
        const got = (await store.get('v1/floats')).bytes;
        expect(got.byteOffset).toBe(0);
        expect([...new Float64Array(got.buffer, 0, 2)]).toEqual([1.5, -2]);
      });

      it('does not see later changes of the array that was put', async () => {
        const body = bytes('one');
        await store.put('v1/a', body);
        body[0] = 0;
        expect(text((await store.get('v1/a')).bytes)).toBe('one');
      });

      it('says that an absent key is absent', async () => {
        await expect(store.get('v1/none')).rejects.toThrow(NotFoundError);
        await expect(streamed(store.getStream('v1/none'))).rejects.toThrow(NotFoundError);
        expect(await store.head('v1/none')).toBeNull();
        await store.put('v1/folder/a', bytes('a'));
        expect(await store.head('v1/folder')).toBeNull();
        await expect(store.get('v1/folder')).rejects.toThrow(NotFoundError);
        expect(await store.head('v1/folder/a/below')).toBeNull();
      });

      it('replaces an object as often as wanted, each time under a new etag', async () => {
        const etags = new Set<string>();
        for (let i = 0; i < 20; i++) {
          etags.add(await committedEtag(store.put('v1/a', bytes(`version ${i % 2}`))));
          expect(text((await store.get('v1/a')).bytes)).toBe(`version ${i % 2}`);
        }
        expect(etags.size).toBe(20);
        expect(await keysOf(store, '')).toEqual(['v1/a']);
      });

      it('keeps keys apart that differ only in the case of a letter', async () => {
        await store.put('v1/README.md', bytes('upper'));
        await store.put('v1/readme.md', bytes('lower'));
        expect(text((await store.get('v1/README.md')).bytes)).toBe('upper');
        expect(await keysOf(store, 'v1/')).toEqual(['v1/README.md', 'v1/readme.md']);
      });

      it.each([
        '',
        '/',
        'a/',
        '/a',
        'a//b',
        '..',
        'a/../b',
        'a/.b',
        'a.',
        'a b',
        'a~',
        'a%b',
        'é',
        'a\\b',
        'a:b',
        'a\0',
        'x'.repeat(121),
        'abc/'.repeat(230) + 'a',
      ])('refuses the key %j everywhere', async (key) => {
        await expect(store.get(key)).rejects.toThrow(InvalidInputError);
        await expect(streamed(store.getStream(key))).rejects.toThrow(InvalidInputError);
        await expect(store.head(key)).rejects.toThrow(InvalidInputError);
        await expect(store.put(key, bytes('x'))).rejects.toThrow(InvalidInputError);
        await expect(store.delete(key)).rejects.toThrow(InvalidInputError);
      });

      if (noFolders !== undefined) {
        it.skip(`does not refuse a key that is the folder of another one: ${noFolders}`, () =>
          undefined);
      } else {
        it('refuses a key that is the folder of another one, both ways', async () => {
          await store.put('v1/a', bytes('a'));
          await expect(store.put('v1/a/b', bytes('b'))).rejects.toThrow(InvalidInputError);
          await store.put('v1/c/d', bytes('d'));
          await expect(store.put('v1/c', bytes('c'))).rejects.toThrow(InvalidInputError);
          expect(await keysOf(store, '')).toEqual(['v1/a', 'v1/c/d']);
        });
      }
    });

    describe('streams', () => {
      const large = randomBytes(3_000_001);
      async function* chunksOf(size: number): AsyncIterable<Uint8Array> {
        for (let at = 0; at < large.length; at += size) yield large.subarray(at, at + size);
      }

      it('are written and read in chunks', async () => {
        const sha256 = createHash('sha256').update(large).digest('hex');
        await store.put('v1/large', chunksOf(70_001), { sha256 });
        expect(large.equals(await streamed(store.getStream('v1/large')))).toBe(true);
        expect((await store.head('v1/large'))?.sizeBytes).toBe(large.length);
      });

      it('are read in ranges that start anywhere and may end beyond the end', async () => {
        await store.put('v1/large', large);
        const part = (start: number, end?: number): Promise<Uint8Array> =>
          streamed(store.getStream('v1/large', end === undefined ? { start } : { start, end }));
        expect(large.subarray(5, 6).equals(await part(5, 6))).toBe(true);
        expect(large.subarray(999_999, 2_000_001).equals(await part(999_999, 2_000_001))).toBe(
          true,
        );
        expect(large.subarray(3_000_000).equals(await part(3_000_000))).toBe(true);
        expect(large.subarray(10).equals(await part(10, 9_000_000))).toBe(true);
        await expect(part(3_000_001)).rejects.toThrow(InvalidInputError);
        await expect(part(-1)).rejects.toThrow(InvalidInputError);
        await expect(part(5, 5)).rejects.toThrow(InvalidInputError);
      });

      it('stay on the version that they began with while it is replaced', async () => {
        await store.put('v1/large', large);
        const read = async (): Promise<boolean> => {
          const got: Uint8Array[] = [];
          for await (const chunk of store.getStream('v1/large')) {
            if (got.length === 0) await store.put('v1/large', bytes('new'));
            got.push(chunk);
          }
          return large.equals(Buffer.concat(got));
        };
        expect(await read()).toBe(true);
        expect(text((await store.get('v1/large')).bytes)).toBe('new');
      });

      it('may be left before their end', async () => {
        await store.put('v1/large', large);
        for await (const chunk of store.getStream('v1/large')) {
          expect(chunk.byteLength).toBeGreaterThan(0);
          break;
        }
      });

      it('that fail on the way in leave the old version, and an absent key absent', async () => {
        async function* failing(): AsyncIterable<Uint8Array> {
          yield large.subarray(0, 100_000);
          throw new Error('the source broke');
        }
        await store.put('v1/a', bytes('old'));
        await expect(store.put('v1/a', failing())).rejects.toThrow('the source broke');
        await expect(store.put('v1/b', failing())).rejects.toThrow('the source broke');
        expect(text((await store.get('v1/a')).bytes)).toBe('old');
        expect(await keysOf(store, '')).toEqual(['v1/a']);
      });
    });

    it('refuses a body with another hash than announced, and leaves what was there', async () => {
      const sha256 = createHash('sha256').update('announced').digest('hex');
      await store.put('v1/a', bytes('old'));
      await expect(store.put('v1/a', bytes('other'), { sha256 })).rejects.toThrow(IntegrityError);
      await expect(store.put('v1/b', bytes('other'), { sha256 })).rejects.toThrow(IntegrityError);
      expect(text((await store.get('v1/a')).bytes)).toBe('old');
      expect(await store.head('v1/b')).toBeNull();
      expect((await store.put('v1/b', bytes('announced'), { sha256 })).committed).toBe(true);
    });

    describe('conditions', () => {
      it('ifAbsent commits once, and then answers with the etag that is there', async () => {
        const etag = await committedEtag(store.put('v1/a', bytes('one'), { ifAbsent: true }));
        expect(await store.put('v1/a', bytes('two'), { ifAbsent: true })).toEqual({
          committed: false,
          current: etag,
        });
        expect(text((await store.get('v1/a')).bytes)).toBe('one');
      });

      it('ifMatch commits against the current etag only', async () => {
        const first = await committedEtag(store.put('v1/a', bytes('one')));
        const second = await committedEtag(store.put('v1/a', bytes('two'), { ifMatch: first }));
        expect(await store.put('v1/a', bytes('three'), { ifMatch: first })).toEqual({
          committed: false,
          current: second,
        });
        expect(text((await store.get('v1/a')).bytes)).toBe('two');
      });

      it('ifMatch never matches an absent key', async () => {
        const etag = await committedEtag(store.put('v1/a', bytes('one')));
        await store.delete('v1/a');
        const lost = { committed: false, current: null };
        expect(await store.put('v1/a', bytes('two'), { ifMatch: etag })).toEqual(lost);
        expect(await store.put('v1/b', bytes('two'), { ifMatch: etag })).toEqual(lost);
        expect(await keysOf(store, '')).toEqual([]);
      });

      it('an etag does not come back, though the same bytes are deleted and written again at once', async () => {
        for (let i = 0; i < 20; i++) {
          const before = await committedEtag(store.put('v1/a', bytes('same')));
          await store.delete('v1/a');
          await store.put('v1/a', bytes('same'));
          expect((await store.put('v1/a', bytes('x'), { ifMatch: before })).committed).toBe(false);
          await store.delete('v1/a');
        }
      });
    });

    describe('deleting', () => {
      it('removes the object, and an absent key is fine', async () => {
        await store.put('v1/a', bytes('one'));
        await store.delete('v1/a');
        await store.delete('v1/a');
        await store.delete('v1/never/was');
        await expect(store.get('v1/a')).rejects.toThrow(NotFoundError);
        expect(await keysOf(store, '')).toEqual([]);
      });

      it('removes an object that was replaced before, which can then be created again', async () => {
        for (let life = 0; life < 3; life++) {
          await committedEtag(store.put('v1/a', bytes('one'), { ifAbsent: true }));
          await store.put('v1/a', bytes('two'));
          await store.delete('v1/a');
          expect(await store.head('v1/a')).toBeNull();
          await store.delete('v1/a');
          expect(await keysOf(store, 'v1')).toEqual([]);
        }
      });
    });

    describe('listing', () => {
      const unsorted = [
        'v1/b',
        'v1/a/x',
        'v1/a-b',
        'v1/a.c',
        'v1/a0',
        'v1/a/Z',
        'v2/a',
        'v1/aa/1/2/3',
      ];
      // '-' < '.' < '/' < '0' < 'Z' < 'a': the order of bytes over whole keys, not of folders.
      const sorted = [
        'v1/a-b',
        'v1/a.c',
        'v1/a/Z',
        'v1/a/x',
        'v1/a0',
        'v1/aa/1/2/3',
        'v1/b',
        'v2/a',
      ];
      beforeEach(async () => {
        for (const key of unsorted) await store.put(key, bytes(key));
      });

      it('is in byte order of keys, with their sizes', async () => {
        const entries = [];
        for await (const entry of store.list('')) entries.push(entry);
        expect(entries).toEqual(sorted.map((key) => ({ key, sizeBytes: key.length })));
      });

      it('takes any prefix, also one that ends within a name', async () => {
        expect(await keysOf(store, 'v1/a')).toEqual(sorted.slice(0, 6));
        expect(await keysOf(store, 'v1/a/')).toEqual(['v1/a/Z', 'v1/a/x']);
        expect(await keysOf(store, 'v1/aa/1/2/3')).toEqual(['v1/aa/1/2/3']);
        expect(await keysOf(store, 'v1/c')).toEqual([]);
        expect(await keysOf(store, 'v3/')).toEqual([]);
      });

      it('goes on after any key, present or not, in pages of any size', async () => {
        for (const after of ['v1/a-b', 'v1/a/Z', 'v1/a/', 'v1/a0', 'v1/aZ', 'v1/zzz', 'v3']) {
          expect(await keysOf(store, '', { after })).toEqual(sorted.filter((key) => key > after));
        }
        for (const limit of [1, 2, 3, 8, 100]) {
          const pages: string[] = [];
          for (;;) {
            const after = pages.at(-1);
            const page = await keysOf(
              store,
              'v1/',
              after === undefined ? { limit } : { after, limit },
            );
            expect(page.length).toBeLessThanOrEqual(limit);
            pages.push(...page);
            if (page.length < limit) break;
          }
          expect(pages).toEqual(sorted.slice(0, 7));
        }
        expect(await keysOf(store, '', { limit: 0 })).toEqual([]);
      });

      it('shows a replaced object once, with the size of its current version', async () => {
        await store.put('v1/b', bytes('a longer body'));
        const entries = [];
        for await (const { key, sizeBytes } of store.list('v1/b')) entries.push({ key, sizeBytes });
        expect(entries).toEqual([{ key: 'v1/b', sizeBytes: 13 }]);
      });

      it('is complete for more keys than a page of any provider holds', async () => {
        const keys = Array.from({ length: 1_203 }, (_, i) => `many/${String(i).padStart(5, '0')}`);
        await Promise.all(keys.map((key) => store.put(key, bytes('x'))));
        expect(await keysOf(store, 'many/')).toEqual(keys);
        expect(await keysOf(store, 'many/', { after: 'many/01000', limit: 5 })).toEqual(
          keys.slice(1_001, 1_006),
        );
      });
    });

    describe('concurrent writers in one process', () => {
      const race = (put: (i: number) => Promise<PutOutcome>): Promise<PutOutcome[]> =>
        Promise.all(Array.from({ length: WRITERS }, (_, i) => put(i)));
      const winners = (outcomes: readonly PutOutcome[]): PutOutcome[] =>
        outcomes.filter(({ committed }) => committed);

      it('with ifAbsent: exactly one commits, and its bytes stay', async () => {
        const outcomes = await race((i) => store.put('v1/a', bytes(`${i}`), { ifAbsent: true }));
        expect(winners(outcomes)).toHaveLength(1);
        const winner = outcomes.findIndex(({ committed }) => committed);
        expect(text((await store.get('v1/a')).bytes)).toBe(`${winner}`);
      });

      it('with ifMatch: exactly one commits, in every round', async () => {
        let etag = await committedEtag(store.put('v1/a', bytes('start')));
        for (let round = 0; round < 10; round++) {
          const outcomes = await race((i) => store.put('v1/a', bytes(`${i}`), { ifMatch: etag }));
          expect(winners(outcomes)).toHaveLength(1);
          const current = await store.get('v1/a');
          const winner = outcomes.findIndex(({ committed }) => committed);
          expect(text(current.bytes)).toBe(`${winner}`);
          etag = current.etag;
        }
      });

      it('without a condition: all commit, and one of them stays', async () => {
        expect(winners(await race((i) => store.put('v1/a', bytes(`${i}`))))).toHaveLength(WRITERS);
        expect(Number(text((await store.get('v1/a')).bytes))).toBeLessThan(WRITERS);
      });

      it('that delete and replace at the same time leave the key absent or whole, and usable', async () => {
        for (let round = 0; round < 20; round++) {
          const { committed } = await store.put('v1/a', bytes('start'));
          const etag = (await store.head('v1/a'))?.etag ?? '';
          await Promise.all([
            store.put('v1/a', bytes('next'), { ifMatch: etag }),
            store.delete('v1/a'),
            store.put('v1/a', bytes('next'), { ifMatch: etag }),
          ]);
          // Whichever came first, nothing is left: a delete ends the version, a replacement of a deleted one is lost.
          expect([committed, await store.head('v1/a')]).toEqual([true, null]);
        }
      });
    });

    describe('writers in processes of their own', () => {
      if (oneProcess !== undefined) {
        it.skip(`are not tried: ${oneProcess}`, () => undefined);
        return;
      }
      const start = (job: WriterJob): Writer => {
        if (under.compiled === undefined) throw new Error('make() must say how it is compiled');
        return startWriter(under.compiled, job);
      };

      it.each(['ifAbsent', 'ifMatch'] as const)(
        `${WRITERS} with %s: exactly one commits, and its bytes stay`,
        async (mode) => {
          if (mode === 'ifMatch') await store.put('v1/a', bytes('start'));
          const etag = (await store.head('v1/a'))?.etag;
          const writers = Array.from({ length: WRITERS }, (_, i) =>
            start({ mode, key: 'v1/a', id: `writer-${i}`, etag }),
          );
          const outcomes = (await raceWriters(writers)) as PutOutcome[];
          expect(outcomes.filter(({ committed }) => committed)).toHaveLength(1);
          const current = await store.get('v1/a');
          const winner = outcomes.findIndex(({ committed }) => committed);
          expect(text(current.bytes)).toBe(`writer-${winner}`);
          for (const outcome of outcomes) {
            expect(outcome.committed ? outcome.etag : outcome.current).toBe(current.etag);
          }
        },
      );

      it('that count with ifMatch lose no increment', async () => {
        await store.put('v1/count', bytes('0'));
        const jobs = Array.from({ length: 6 }, (_, i) =>
          start({ mode: 'increment', key: 'v1/count', id: `writer-${i}`, times: 50 }),
        );
        await Promise.all(jobs.map(collectOutput));
        expect(text((await store.get('v1/count')).bytes)).toBe('300');
      });

      it('that are killed at any moment leave one whole version, and nothing but it in a listing', async () => {
        await store.put('v1/storm', bytes('2\nok'));
        for (let round = 0; round < 5; round++) {
          const writers = Array.from({ length: 4 }, (_, i) =>
            start({ mode: 'storm', key: 'v1/storm', id: `w${i}`, sizeBytes: 400_000 }),
          );
          await Promise.all(writers.map((writer) => writer.started));
          for (const writer of writers) {
            await new Promise((resolve) => setTimeout(resolve, 7 + 13 * round));
            writer.process.kill('SIGKILL');
            const [announced, body] = text((await store.get('v1/storm')).bytes).split('\n');
            expect(body?.length).toBe(Number(announced));
          }
          await Promise.all(writers.map((writer) => writer.ended));
          expect(await keysOf(store, '')).toEqual(['v1/storm']);
          // Nobody who died holds anything up.
          const { etag } = await store.get('v1/storm');
          expect((await store.put('v1/storm', bytes('2\nok'), { ifMatch: etag })).committed).toBe(
            true,
          );
        }
      });
    });
  });
}

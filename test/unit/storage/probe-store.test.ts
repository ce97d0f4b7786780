import { InvalidInputError, TransientError } from '../../../src/errors';
import type { ObjectStore, PutOptions, PutOutcome } from '../../../src/storage/object-store';
import { probeStore } from '../../../src/storage/probe-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';

type Put = ObjectStore['put'];

/** A store in memory whose put is another. */
function withPut(make: (store: ObjectStore) => Put): ObjectStore {
  const store = createMemoryObjectStore();
  return { ...store, put: make(store) };
}

const forgets =
  (...names: readonly (keyof PutOptions)[]) =>
  (store: ObjectStore): Put =>
  (key, body, options = {}) =>
    store.put(
      key,
      body,
      Object.fromEntries(
        Object.entries(options).filter(([name]) => !names.includes(name as keyof PutOptions)),
      ),
    );

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}

test('a store that keeps its promises passes, and holds nothing afterwards', async () => {
  const store = createMemoryObjectStore();
  await probeStore(store, 'p');
  expect(await keysOf(store)).toEqual([]);
});

test.each<[string, ObjectStore, RegExp]>([
  ['ignores ifAbsent', withPut(forgets('ifAbsent')), /ignores If-None-Match/],
  ['ignores ifMatch', withPut(forgets('ifMatch')), /ignores If-Match/],
  ['ignores both', withPut(forgets('ifAbsent', 'ifMatch')), /ignores If-None-Match/],
  [
    'looks first and then writes',
    withPut((store) => async (key, body, options = {}) => {
      const current = (await store.head(key))?.etag ?? null;
      if (options.ifAbsent === true && current !== null) return { committed: false, current };
      if (options.ifMatch !== undefined && options.ifMatch !== current)
        return { committed: false, current };
      await new Promise((resolve) => setTimeout(resolve, 1));
      return store.put(key, body);
    }),
    /of 8 puts at the same time 8 won/,
  ],
  [
    'never lets a swap win',
    withPut((store) => async (key, body, options): Promise<PutOutcome> => {
      if (options?.ifMatch !== undefined) return { committed: false, current: options.ifMatch };
      return store.put(key, body, options);
    }),
    /lost a put with the current etag/,
  ],
])('a store that %s is refused, and the probe removed', async (_, store, reason) => {
  const refusal = await probeStore(store, 'p').catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(InvalidInputError);
  expect(String(refusal)).toMatch(reason);
  expect(String(refusal)).toMatch(/use AWS S3, .* or local files/);
  expect(await keysOf(store)).toEqual([]);
});

test('a store that shows old bytes after a write is refused', async () => {
  const store = createMemoryObjectStore();
  const stale = { ...store, get: async () => ({ bytes: new Uint8Array(), etag: 'old' }) };
  await expect(probeStore(stale, 'p')).rejects.toThrow(/does not show what was just written/);
});

test('a store that cannot be reached is not refused: its own error is passed on', async () => {
  const down = withPut(() => () => Promise.reject(new TransientError('nobody answers')));
  await expect(probeStore(down, 'p')).rejects.toThrow(TransientError);
});

import type * as FsPromises from 'node:fs/promises';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { InvalidInputError, TransientError } from '../../src/errors';
import type { ObjectStore, PutOptions } from '../../src/storage/object-store';

/** Calls of the file system that still work; the process "dies" at the one after: that call and all later ones fail. */
let callsLeft = Infinity;

/** What happens once, right before or after the next call of a function: `{'before link': …}`. */
const interruptions = new Map<string, () => Promise<unknown>>();

class Crash extends Error {}

jest.mock('node:fs/promises', () => {
  const real = jest.requireActual<typeof FsPromises>('node:fs/promises');
  const mortal = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name) {
        const member: unknown = Reflect.get(object, name);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]): Promise<unknown> => {
          // Handles are closed by the kernel when a process dies.
          if (name !== 'close' && callsLeft-- <= 0) throw new Crash(String(name));
          const interrupt = async (when: string): Promise<void> => {
            const interruption = interruptions.get(`${when} ${String(name)}`);
            interruptions.delete(`${when} ${String(name)}`);
            await interruption?.();
          };
          await interrupt('before');
          const result: unknown = await Reflect.apply(member, object, args);
          await interrupt('after');
          return name === 'open' ? mortal(result as object) : result;
        };
      },
    });
  return mortal(real);
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function textOf(store: ObjectStore, key: string): Promise<string | null> {
  if ((await store.head(key)) === null) return null;
  return new TextDecoder().decode((await store.get(key)).bytes);
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}

let root: string;
let store: ObjectStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ratchet-store-'));
  store = createLocalObjectStore({ root });
});
afterEach(async () => {
  callsLeft = Infinity;
  interruptions.clear();
  jest.restoreAllMocks();
  await rm(root, { recursive: true, force: true });
});

describe('a process that dies at any call of the file system', () => {
  interface Case {
    readonly name: string;
    readonly before: readonly string[];
    readonly run: (dying: ObjectStore, etag: string | undefined) => Promise<unknown>;
    readonly after: string | null;
  }
  const put =
    (options: (etag: string | undefined) => PutOptions) =>
    (dying: ObjectStore, etag: string | undefined): Promise<unknown> =>
      dying.put('v1/a/b', bytes('new'), options(etag));
  const cases: readonly Case[] = [
    { name: 'creates', before: [], run: put(() => ({ ifAbsent: true })), after: 'new' },
    { name: 'overwrites', before: ['old'], run: put(() => ({})), after: 'new' },
    {
      name: 'swaps',
      before: ['older', 'old'],
      run: put((etag) => (etag === undefined ? {} : { ifMatch: etag })),
      after: 'new',
    },
    { name: 'deletes', before: ['old'], run: (dying) => dying.delete('v1/a/b'), after: null },
    {
      name: 'deletes what was replaced',
      before: ['older', 'old'],
      run: (dying) => dying.delete('v1/a/b'),
      after: null,
    },
  ];

  it.each(cases)('while it $name leaves the old version or the new one', async (one) => {
    const seen = new Set<string | null>();
    for (let calls = 0; ; calls++) {
      await rm(root, { recursive: true, force: true });
      for (const text of one.before) await store.put('v1/a/b', bytes(text));
      const etag = (await store.head('v1/a/b'))?.etag;

      const dying = createLocalObjectStore({ root });
      callsLeft = calls;
      const crashed = await one.run(dying, etag).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Crash) return true;
          throw error;
        },
      );
      callsLeft = Infinity;

      const found = await textOf(store, 'v1/a/b');
      seen.add(found);
      const old = one.before.at(-1) ?? null;
      expect([old, one.after]).toContain(found);
      if (!crashed) expect(found).toBe(one.after);
      expect(await keysOf(store)).toEqual(found === null ? [] : ['v1/a/b']);

      // Whatever it left, the next writer is not held up.
      const current = await store.head('v1/a/b');
      const next = await store.put(
        'v1/a/b',
        bytes('next'),
        current === null ? { ifAbsent: true } : { ifMatch: current.etag },
      );
      expect([next.committed, await textOf(store, 'v1/a/b')]).toEqual([true, 'next']);
      if (!crashed) {
        expect(calls).toBeGreaterThan(4);
        break;
      }
    }
    expect(seen.size).toBe(2);
  });
});

describe('what crashed writers left', () => {
  it('is in no listing, and is removed when the store is next written after an hour', async () => {
    await mkdir(join(root, 'tmp'), { recursive: true });
    await writeFile(join(root, 'tmp', 'abandoned'), 'half a bo');
    await store.put('v1/a', bytes('a'));
    expect(await keysOf(store)).toEqual(['v1/a']);
    expect(await readdir(join(root, 'tmp'))).toEqual(['abandoned']);

    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 61 * 60 * 1000);
    await createLocalObjectStore({ root }).put('v1/b', bytes('b'));
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    expect(await keysOf(store)).toEqual(['v1/a', 'v1/b']);
  });

  it('and what was replaced is removed by a later put, but not before ten seconds', async () => {
    for (const text of ['0', '1', '2']) await store.put('v1/a', bytes(text));
    const versions = async (): Promise<string[]> =>
      (await readdir(join(root, 'objects/v1/a~'))).sort();
    expect(await versions()).toEqual(['1', '2']);

    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 11_000);
    await store.put('v1/a', bytes('3'));
    // Also version 2, which was only just replaced: by the clock that was set forward, that is eleven seconds ago.
    expect([await versions(), await readdir(join(root, 'objects/v1'))]).toEqual([['3'], ['a~']]);
    expect(await textOf(store, 'v1/a')).toBe('3');
  });
});

describe('a put that was suspended right after it took its name', () => {
  const suspended = async (meanwhile: () => Promise<unknown>): Promise<unknown> => {
    await store.put('v1/a', bytes('first'));
    const { etag } = await store.get('v1/a');
    const now = Date.now();
    interruptions.set('after link', async () => {
      jest.spyOn(Date, 'now').mockImplementation(() => now + 10_000);
      await meanwhile();
    });
    return store.put('v1/a', bytes('second'), { ifMatch: etag });
  };

  it('says that it does not know its outcome, if others wrote meanwhile', async () => {
    const other = createLocalObjectStore({ root });
    await expect(suspended(() => other.put('v1/a', bytes('third')))).rejects.toThrow(
      TransientError,
    );
    expect(await textOf(store, 'v1/a')).toBe('third');
  });

  it('has committed, if nobody did', async () => {
    expect(await suspended(async () => undefined)).toMatchObject({ committed: true });
    expect(await textOf(store, 'v1/a')).toBe('second');
  });
});

describe('a delete that meets a swap in the middle', () => {
  let etag: string;
  const other = (): ObjectStore => createLocalObjectStore({ root });
  const lost = { committed: false, current: null };
  beforeEach(async () => {
    await store.put('v1/a', bytes('first'));
    ({ etag } = await store.get('v1/a'));
  });
  const swap = (): ReturnType<ObjectStore['put']> =>
    store.put('v1/a', bytes('second'), { ifMatch: etag });

  it.each(['before mkdir', 'before link'])('%s: the swap is lost', async (moment) => {
    interruptions.set(moment, () => other().delete('v1/a'));
    expect([await swap(), await textOf(store, 'v1/a')]).toEqual([lost, null]);
  });

  it('after link: the swap had committed, and the key is gone', async () => {
    interruptions.set('after link', () => other().delete('v1/a'));
    expect([(await swap()).committed, await textOf(store, 'v1/a')]).toEqual([true, null]);
  });

  it('that begins after the delete looked for swaps, and is not done before it: the swap is lost', async () => {
    let swapping: ReturnType<ObjectStore['put']> | undefined;
    let endDelete = (): void => undefined;
    const deleted = new Promise<void>((resolve) => (endDelete = resolve));
    interruptions.set('before unlink', async () => {
      await new Promise<void>((atItsLink) => {
        interruptions.set('before link', async () => {
          atItsLink();
          await deleted;
        });
        swapping = swap();
      });
    });
    await other().delete('v1/a');
    endDelete();
    expect([await swapping, await textOf(store, 'v1/a')]).toEqual([lost, null]);
  });
});

it('a copy of the folder, without its times, is the same store', async () => {
  await store.put('v1/a', bytes('old'));
  await store.put('v1/a', bytes('new'));
  await store.put('v1/gone', bytes('old'));
  await store.put('v1/gone', bytes('new'));
  await store.delete('v1/gone');
  const copy = join(root, 'copy');
  await cp(join(root, 'objects'), join(copy, 'objects'), { recursive: true });
  const copied = createLocalObjectStore({ root: copy });
  expect([await keysOf(copied), await textOf(copied, 'v1/a')]).toEqual([['v1/a'], 'new']);
});

it('no two keys have names that a disk without capital letters would take for one', async () => {
  for (const key of ['v1/README', 'v1/readme', 'v1/Readme']) await store.put(key, bytes(key));
  const names = (await readdir(join(root, 'objects/v1'))).map((name) => name.toLowerCase());
  expect(new Set(names).size).toBe(3);
  expect(await keysOf(store)).toEqual(['v1/README', 'v1/Readme', 'v1/readme']);
});

it('a root that cannot be a folder is an error that says what to do', async () => {
  await writeFile(join(root, 'file'), '');
  const impossible = createLocalObjectStore({ root: join(root, 'file', 'store') });
  await expect(impossible.put('v1/a', bytes('a'))).rejects.toThrow(InvalidInputError);
});

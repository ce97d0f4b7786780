import { execFileSync } from 'node:child_process';
import type * as FsPromises from 'node:fs/promises';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { TransientError } from '../../src/errors';
import { verifyStore } from '../../src/integrity/verify-store';
import type { ObjectStore } from '../../src/storage/object-store';
import { activitiesOn, createExecution, oneIteration } from '../helpers/small-iteration';

/** Calls that take space on a disk fail from the n-th on, as often as said. */
let passBefore = Infinity;
let failures = 0;
/** On a full disk a write may take the first bytes of what it was given. */
const TAKES_SPACE = ['mkdir', 'link', 'open', 'write', 'sync'];

jest.mock('node:fs/promises', () => {
  const real = jest.requireActual<typeof FsPromises>('node:fs/promises');
  const filling = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name) {
        const member: unknown = Reflect.get(object, name);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]): Promise<unknown> => {
          const takesSpace =
            TAKES_SPACE.includes(String(name)) && !(name === 'open' && args[1] === 'r');
          if (takesSpace && passBefore-- <= 0 && failures > 0) {
            failures -= 1;
            if (name === 'write') {
              const [bytes, at, length] = args as [Uint8Array, number, number];
              await Reflect.apply(member, object, [bytes, at, Math.floor(length / 2)]);
            }
            throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
          }
          const result: unknown = await Reflect.apply(member, object, args);
          return name === 'open' ? filling(result as object) : result;
        };
      },
    });
  return filling(real);
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function textsOf(store: ObjectStore): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  for await (const { key } of store.list(''))
    texts[key] = new TextDecoder().decode((await store.get(key)).bytes);
  return texts;
}

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ratchet-full-'));
});
afterEach(async () => {
  passBefore = Infinity;
  failures = 0;
  await rm(root, { recursive: true, force: true });
});

it('wherever in a put the disk is full, it is a TransientError, nothing is half-visible, and the put succeeds once there is space', async () => {
  let tried = 0;
  for (const condition of [{ ifAbsent: true }, {}] as const) {
    for (let calls = 0; ; calls += 1) {
      const folder = join(root, `${tried++}`);
      const store = createLocalObjectStore({ root: folder });
      await store.put('v1/other', bytes('other'));
      const before = await textsOf(store);
      passBefore = calls;
      failures = 1;
      const failed = await store.put('v1/a/b', bytes('a new body'), condition).then(
        () => null,
        (error: unknown) => error,
      );
      passBefore = Infinity;
      if (failed === null) {
        failures = 0;
        expect(calls).toBeGreaterThan(4);
        break;
      }
      expect(failed).toBeInstanceOf(TransientError);
      expect((failed as Error).message).toContain('ENOSPC');
      // All or nothing: where only the last sync failed, the object has its name already.
      const after = await textsOf(store);
      expect([before, { ...before, 'v1/a/b': 'a new body' }]).toContainEqual(after);
      expect(await readdir(join(folder, 'tmp'))).toEqual([]); // what there was of it gives its space back
      const again = await store.put('v1/a/b', bytes('a new body'), condition);
      expect(again.committed || after['v1/a/b'] !== undefined).toBe(true);
      expect((await textsOf(store))['v1/a/b']).toBe('a new body');
    }
  }
});

it('an iteration whose disk fills up in its middle waits and ends in the same checkpoint', async () => {
  const storeIn = (name: string): ObjectStore =>
    createLocalObjectStore({ root: join(root, name), durable: false });
  passBefore = 1_000_000;
  const unbroken = await oneIteration(activitiesOn(storeIn('unbroken')));
  const calls = 1_000_000 - passBefore;
  for (const share of [0.05, 0.3, 0.6, 0.95]) {
    const store = storeIn(`full-at-${share}`);
    passBefore = Math.floor(share * calls);
    failures = 3;
    const execution = createExecution();
    const iteration = await oneIteration(activitiesOn(store), execution);
    expect(failures).toBe(0);
    expect(execution.failures.join()).toContain('ENOSPC');
    expect(iteration).toMatchObject({
      ...{ candidate: unbroken.candidate, evaluation: unbroken.evaluation },
      promoted: { kind: 'moved' },
    });
    const { findings } = await verifyStore(store, { isDeep: false, doesQuarantine: false });
    expect(findings).toEqual([]);
  }
});

/** A disk of its own, of a few hundred kilobytes; null where this user may not mount one. */
function tinyDisk(): { readonly path: string; unmount(): void } | null {
  const path = join(tmpdir(), `ratchet-tiny-disk-${process.pid}`);
  try {
    execFileSync('mkdir', ['-p', path]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', path], { stdio: 'ignore' });
    return {
      path,
      unmount: () => void execFileSync('sh', ['-c', `umount '${path}' && rmdir '${path}'`]),
    };
  } catch {
    return null; // no permission, or no such file system: the test says that it is skipped, and why
  }
}

const disk = process.platform === 'linux' ? tinyDisk() : null;
afterAll(() => disk?.unmount());
const onTinyDisk = disk === null ? it.skip : it;

onTinyDisk(
  `a disk that is really full${disk === null ? ' (skipped: it takes root to mount a small one)' : ''} refuses, keeps what it has, and goes on when there is space`,
  async () => {
    const folder = join(disk?.path ?? '', 'store');
    const store = createLocalObjectStore({ root: folder });
    const ballast = join(disk?.path ?? '', 'ballast');
    await mkdir(folder, { recursive: true });
    await store.put('v1/first', bytes('first'));
    await writeFile(ballast, new Uint8Array(300_000));

    const large = new Uint8Array(300_000).fill(7);
    await expect(store.put('v1/large', large)).rejects.toThrow(TransientError);
    expect(await textsOf(store)).toEqual({ 'v1/first': 'first' });
    await rm(ballast);
    expect((await store.put('v1/large', large)).committed).toBe(true);
    expect((await store.get('v1/large')).bytes).toEqual(large);
  },
);

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalKeyUse } from '../../../src/adapters/local-key-use/local-key-use';
import { TransientError } from '../../../src/errors';
import { createKeyUse, type KeyUseStore } from '../../../src/gateway/keys/key-use';
import { createFixture, NOW } from './gateway-fixture';

interface WrittenUse extends KeyUseStore {
  readonly written: [string, number][];
}

function memoryKeyUse(fails = false): WrittenUse {
  const written: [string, number][] = [];
  return {
    written,
    read: async () => new Map(written),
    write: async (id, atMs) => {
      if (fails) throw new Error('read-only disk');
      written.push([id, atMs]);
    },
  };
}

describe('when a key was last used', () => {
  test('is written at its first use, then once a minute, each key for itself', () => {
    const store = memoryKeyUse();
    const note = createKeyUse(store, () => undefined);
    for (let second = 0; second < 180; second++) {
      for (let i = 0; i < 10; i++) note('a', second * 1_000);
      if (second === 100) note('b', 100_000);
    }
    expect(store.written).toEqual([
      ['a', 0],
      ['a', 60_000],
      ['b', 100_000],
      ['a', 120_000],
    ]);
  });

  test('is noted for keys that were verified, and for no other', async () => {
    const store = memoryKeyUse();
    const gateway = await createFixture({ keyUse: store, now: () => NOW });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const id = key.slice(3, 15);
    await gateway.get('/v1/models', `rk-${id}-${'A'.repeat(43)}`);
    await gateway.get('/v1/models', gateway.session());
    expect(store.written).toEqual([]);
    await gateway.get('/v1/models', key);
    expect(store.written).toEqual([[id, NOW]]);
  });

  test('fails no call where it cannot be written, and the log says so once a minute', async () => {
    const gateway = await createFixture({ keyUse: memoryKeyUse(true) });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    for (let i = 0; i < 3; i++) {
      expect((await gateway.get('/v1/models', key)).status).toBe(200);
    }
    expect(gateway.log).toMatchObject([
      { level: 'warn', message: 'when a key was last used is not shown', error: 'read-only disk' },
    ]);
  });
});

describe('a folder of last uses', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ratchet-key-use-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const [a, b] = ['a'.repeat(12), 'b'.repeat(12)];

  test('keeps the latest of several gateways, and needs no lock', async () => {
    const stores = Array.from({ length: 4 }, () => createLocalKeyUse(join(folder, 'used')));
    expect(await stores[0]?.read()).toEqual(new Map());
    await Promise.all(stores.map((store) => store.write(b, NOW)));
    for (const [i, store] of stores.entries()) await store.write(a, NOW - i * 1_000);
    expect(await stores[3]?.read()).toEqual(
      new Map([
        [a, NOW],
        [b, NOW],
      ]),
    );
    expect((await readdir(join(folder, 'used'))).sort()).toEqual([a, b]);
  });

  test('knows nothing of files that are no key’s', async () => {
    await writeFile(join(folder, 'notes.txt'), '');
    expect(await createLocalKeyUse(folder).read()).toEqual(new Map());
  });

  test('that cannot be made says so', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const store = createLocalKeyUse(join(file, 'used'));
    await expect(store.write(a, NOW)).rejects.toThrow(/when a key was used/);
    await expect(store.read()).rejects.toThrow(TransientError);
  });
});

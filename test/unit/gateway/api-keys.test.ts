import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalKeyFile } from '../../../src/adapters/local-key-file/local-key-file';
import { IntegrityError, InvalidInputError, NotFoundError } from '../../../src/errors';
import { createApiKeyVerifier } from '../../../src/gateway/keys/api-key-verifier';
import { createApiKey, listApiKeys, revokeApiKey } from '../../../src/gateway/keys/api-keys';
import { createMemoryKeys } from './gateway-fixture';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ratchet-keys-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a key file', () => {
  test('holds hashes, and its owner alone may read it', async () => {
    const path = join(folder, 'deep', 'keys.json');
    const store = createLocalKeyFile(path);
    const { key, record } = await createApiKey(store, {
      role: 'agent',
      agent: 'desk',
      label: 'ci',
    });
    const text = await readFile(path, 'utf8');
    const secret = key.slice(`rk-${record.id}-`.length);
    expect(secret).toHaveLength(43);
    expect(text).not.toContain(secret);
    expect(text).toContain(record.hash);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await listApiKeys(store)).toEqual([record]);
  });

  test('keeps every key when many are created at once, by several stores', async () => {
    const path = join(folder, 'keys.json');
    const created = await Promise.all(
      Array.from({ length: 20 }, () => createApiKey(createLocalKeyFile(path), { role: 'runner' })),
    );
    const ids = (await createLocalKeyFile(path).read()).map((record) => record.id);
    expect(ids.sort()).toEqual(created.map(({ record }) => record.id).sort());
  });

  test('of the first version is read, and written as the second', async () => {
    const path = join(folder, 'keys.json');
    const store = createLocalKeyFile(path);
    const old = ['desk', null].map((agent, i) => ({
      ...{ id: `00000000000${i}`, role: agent === null ? 'scorer' : 'agent', agent, label: '' },
      ...{ hash: 'a'.repeat(64), createdAt: '2026-11-01T00:00:00.000Z', revokedAt: null },
    }));
    await writeFile(path, JSON.stringify({ formatVersion: 1, keys: old }));
    const read = await store.read();
    expect(read).toMatchObject([
      { role: 'agent', agents: ['desk'], expiresAt: null },
      { role: 'scorer', agents: [], expiresAt: null },
    ]);
    await revokeApiKey(store, '000000000001');
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ formatVersion: 2 });
    expect((await store.read())[0]).toEqual(read[0]);
  });

  test('that does not exist holds no keys, and one that is damaged lets nobody in and stays as it is', async () => {
    const path = join(folder, 'keys.json');
    const store = createLocalKeyFile(path);
    expect(await store.read()).toEqual([]);
    await writeFile(path, '{"formatVersion":1,"keys":[{"secret":"x"}]}');
    await expect(store.read()).rejects.toThrow(IntegrityError);
    await expect(createApiKey(store, { role: 'runner' })).rejects.toThrow(IntegrityError);
    expect(await readFile(path, 'utf8')).toContain('"secret":"x"');
  });
});

describe('API keys', () => {
  test('need an agent for role agent, may have some for runners and scorers, and none otherwise', async () => {
    const store = createMemoryKeys();
    await expect(createApiKey(store, { role: 'agent' })).rejects.toThrow(InvalidInputError);
    for (const role of ['approver', 'admin'] as const) {
      await expect(createApiKey(store, { role, agent: 'desk' })).rejects.toThrow(/agent/);
    }
    for (const wrong of [{ agent: 'Not a name' }, { label: '\x1b[2J' }]) {
      await expect(createApiKey(store, { role: 'scorer', ...wrong })).rejects.toThrow(/cannot be/);
    }
    expect(await listApiKeys(store)).toEqual([]);
  });

  test('are known by their whole text', async () => {
    const store = createMemoryKeys();
    const { key, record } = await createApiKey(store, { role: 'scorer' });
    const verify = createApiKeyVerifier(store);
    expect(await verify(key)).toEqual(record);
    const wrong = key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A');
    await expect(verify(wrong)).rejects.toMatchObject({ status: 401 });
    await expect(verify(`rk-${'0'.repeat(12)}-${'A'.repeat(43)}`)).rejects.toThrow(/not known/);
    await expect(verify('rk-short')).rejects.toThrow(/malformed/);
  });

  test('stop working within two seconds after they were revoked', async () => {
    let nowMs = 0;
    const store = createMemoryKeys();
    const { key, record } = await createApiKey(store, { role: 'scorer' });
    const verify = createApiKeyVerifier(store, () => nowMs);
    await verify(key);
    await revokeApiKey(store, record.id);
    nowMs = 2_000;
    await expect(verify(key)).rejects.toMatchObject({ status: 401, reason: 'revoked_api_key' });
    await expect(revokeApiKey(store, 'nobody')).rejects.toThrow(NotFoundError);
  });

  test('stop working at the millisecond at which they expire', async () => {
    let nowMs = Date.parse('2026-11-23T12:00:00.000Z');
    const store = createMemoryKeys();
    const { key } = await createApiKey(store, { role: 'scorer', expiresAtMs: nowMs + 60_000 });
    const verify = createApiKeyVerifier(store, () => nowMs);
    nowMs += 59_999;
    await expect(verify(key)).resolves.toMatchObject({ expiresAt: '2026-11-23T12:01:00.000Z' });
    nowMs += 1;
    await expect(verify(key)).rejects.toMatchObject({ status: 401, reason: 'expired_api_key' });
  });

  test('that are new work at once, and guessing ids reads the records ten times a second at most', async () => {
    let nowMs = 0;
    const store = createMemoryKeys();
    let reads = 0;
    const counted = { ...store, read: () => (reads++, store.read()) };
    const verify = createApiKeyVerifier(counted, () => nowMs);
    await expect(verify(`rk-${'0'.repeat(12)}-${'A'.repeat(43)}`)).rejects.toThrow();
    const { key } = await createApiKey(store, { role: 'scorer' });
    for (nowMs = 1; nowMs < 100; nowMs++) await expect(verify(key)).rejects.toThrow(/not known/);
    expect(reads).toBe(1);
    nowMs = 100;
    await expect(verify(key)).resolves.toBeDefined();
  });

  test('let nobody in while the records cannot be read', async () => {
    const store = createMemoryKeys();
    const { key } = await createApiKey(store, { role: 'scorer' });
    const verify = createApiKeyVerifier({
      ...store,
      read: () => Promise.reject(new Error('disk is gone')),
    });
    await expect(verify(key)).rejects.toThrow('disk is gone');
  });
});

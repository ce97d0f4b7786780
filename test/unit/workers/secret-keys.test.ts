import { statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readEnvironment } from '../../../workers/env';
import { keyFolder, redactionKey, signingKey } from '../../../workers/secret-keys';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-keys-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const env = (): ReturnType<typeof readEnvironment> => readEnvironment({ RATCHET_HOME: home });

test('processes that start at once have the same keys, whole', async () => {
  for (let round = 0; round < 20; round++) {
    await rm(keyFolder(env()), { recursive: true, force: true });
    const keys = await Promise.all(Array.from({ length: 8 }, () => signingKey(env())));
    expect(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size).toBe(1);
    expect(await readdir(keyFolder(env()))).toEqual(['session-signing.key']);
  }
});

test('a key has its name only when it is whole, and stays the same', async () => {
  const path = join(keyFolder(env()), 'session-signing.key');
  const making = { isDone: false };
  const made = signingKey(env()).finally(() => (making.isDone = true));
  while (!making.isDone) {
    expect([undefined, 32]).toContain(statSync(path, { throwIfNoEntry: false })?.size);
    await new Promise(setImmediate);
  }
  const signing = await made;
  expect(signing).toHaveLength(32);
  expect(await signingKey(env())).toEqual(signing);
  expect(await redactionKey(env())).not.toEqual(signing);
  expect((await stat(join(keyFolder(env()), 'session-signing.key'))).mode & 0o777).toBe(0o600);
});

test('what a crash left of an unfinished key is never taken for one', async () => {
  await mkdir(keyFolder(env()), { recursive: true });
  await writeFile(join(keyFolder(env()), 'session-signing.key.00.tmp'), 'half');
  expect(await signingKey(env())).toHaveLength(32);
});

test('a key of the wrong length is refused, and the message says what to do', async () => {
  await mkdir(keyFolder(env()), { recursive: true });
  await writeFile(join(keyFolder(env()), 'redaction.key'), 'short');
  await expect(redactionKey(env())).rejects.toThrow(
    /wrong length: expected 32 bytes, got 5; restore it from a copy/,
  );
});

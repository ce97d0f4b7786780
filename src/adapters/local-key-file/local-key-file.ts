import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { IntegrityError, TransientError } from '../../errors';
import type { ApiKeyStore } from '../../gateway/keys/api-keys';
import { ApiKeyRecord } from '../../gateway/keys/api-keys';
import { hasCode } from '../local-store/fs-errors';

/** Version 1 knew one agent per key and no expiry. It is read, and becomes version 2 with the next update. */
const RecordV1 = z
  .looseObject({ agent: z.string().nullable() })
  .transform(({ agent, ...rest }): unknown => ({
    ...{ ...rest, agents: agent === null ? [] : [agent], expiresAt: null },
  }))
  .pipe(ApiKeyRecord);
const KeyFile = z.discriminatedUnion('formatVersion', [
  z.strictObject({ formatVersion: z.literal(1), keys: z.array(RecordV1) }),
  z.strictObject({ formatVersion: z.literal(2), keys: z.array(ApiKeyRecord) }),
]);

const LOCK_WAIT_MS = 5_000;

/**
 * API key records in one JSON file, readable by its owner only (mode 0600). A reader sees the file before or after an update, whole; a
 * crash leaves one of the two. Updates of several processes take turns by a lock file beside it; no lock is ever
 * broken, since the process that seems dead may only be slow. No file means no keys.
 *
 * @throws {IntegrityError} from its methods, if the file is not of this format: nobody is let in, and nothing is overwritten.
 */
export function createLocalKeyFile(path: string): ApiKeyStore {
  const read = async (): Promise<readonly ApiKeyRecord[]> => {
    const text = await readIfPresent(path);
    return text === null ? [] : parse(text, path);
  };
  return {
    read,
    async update(change) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await withLock(`${path}.lock`, async () => {
        const keys = change(await read());
        await replace(path, `${JSON.stringify({ formatVersion: 2, keys }, null, 2)}\n`);
      });
    },
  };
}

async function readIfPresent(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw new TransientError('the key file cannot be read', { context: { path }, cause: error });
  }
}

function parse(text: string, path: string): readonly ApiKeyRecord[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Its message would quote the file. The schema below refuses undefined and says the rest.
    json = undefined;
  }
  const file = KeyFile.safeParse(json);
  if (file.success) return file.data.keys;
  throw new IntegrityError(`the key file is damaged: ${z.prettifyError(file.error)}`, {
    context: { path },
  });
}

/** New file, fsync, rename, fsync of the folder: after a crash the old content or the new. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function withLock(lock: string, work: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + LOCK_WAIT_MS;
  while (!(await tryLock(lock))) {
    if (Date.now() > deadline) {
      throw new TransientError(
        'the key file is locked: wait for the other process or, if it died in the middle of its update, delete the lock file',
        { context: { lock, waitedMs: LOCK_WAIT_MS } },
      );
    }
    await sleep(10);
  }
  try {
    await work();
  } finally {
    await unlink(lock);
  }
}

async function tryLock(lock: string): Promise<boolean> {
  try {
    await (await open(lock, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

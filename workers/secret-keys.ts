import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasCode } from '../src/adapters/local-store/fs-errors';
import { IntegrityError } from '../src/errors';
import type { Environment } from './env';

const KEY_BYTES = 32;

/** Where the gateway's keys are; beside the store, never in it. */
export function keyFolder(env: Environment): string {
  return join(env.home, 'keys');
}

/** The key that signs session tokens. */
export function signingKey(env: Environment): Promise<Uint8Array> {
  return secretKey(env, 'session-signing.key', 'move the file away and sessions get a new one');
}

/** The key that placeholders are made with. Whoever has it can try out values; who loses it only loses that old placeholders equal new ones. */
export function redactionKey(env: Environment): Promise<Uint8Array> {
  return secretKey(
    env,
    'redaction.key',
    'restore it from a copy; with a new one the same values get other placeholders, and what was recorded of a user is not found any more',
  );
}

/**
 * Made once, readable by its owner only, however many processes start at once: it gets its name only when it is whole and on disk.
 *
 * @param help what to do about a file that is damaged.
 */
async function secretKey(env: Environment, file: string, help: string): Promise<Uint8Array> {
  const path = join(keyFolder(env), file);
  const key = (await readIfPresent(path)) ?? (await createKey(path));
  if (key.byteLength === KEY_BYTES) return key;
  throw new IntegrityError(
    `a secret key has the wrong length: expected ${KEY_BYTES} bytes, got ${key.byteLength}; ${help}`,
    { context: { path } },
  );
}

/** @returns the key of whoever came first. */
async function createKey(path: string): Promise<Uint8Array> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const unfinished = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const handle = await open(unfinished, 'wx', 0o600);
    try {
      await handle.writeFile(randomBytes(KEY_BYTES));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(unfinished, path);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error; // another was first
  } finally {
    await unlink(unfinished).catch(() => undefined); // not there if it could not be made
  }
  return readFile(path);
}

async function readIfPresent(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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

/** Made once, readable by its owner only. @param help what to do about a file that is damaged. */
async function secretKey(env: Environment, file: string, help: string): Promise<Uint8Array> {
  const path = join(keyFolder(env), file);
  await mkdir(keyFolder(env), { recursive: true, mode: 0o700 });
  try {
    await writeFile(path, randomBytes(KEY_BYTES), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // made before: read below
  }
  const key = await readFile(path);
  if (key.byteLength === KEY_BYTES) return key;
  throw new IntegrityError(
    `a secret key has the wrong length: expected ${KEY_BYTES} bytes, got ${key.byteLength}; ${help}`,
    { context: { path } },
  );
}

import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalObjectStore } from '../src/adapters/local-store';
import { createS3ObjectStore } from '../src/adapters/s3-store';
import { describeError, InvalidInputError, TransientError } from '../src/errors';
import type { ObjectStore } from '../src/storage/object-store';
import { probeStore } from '../src/storage/probe-store';
import type { Environment } from './env';

export interface OpenStoreOptions {
  /**
   * How long a store that cannot be reached is waited for: processes and their store are often started at the same time.
   *
   * @default 30000
   */
  readonly patienceMs?: number;
  readonly log?: (line: string) => void;
}

const PATIENCE_MS = 30_000;
const PAUSE_MS = 500;

/**
 * The store of `env`. A bucket is tried first: whether it is there, whether we may use it, and whether its server keeps conditional
 * writes. Local files are not: what else they need of the file system fails at the first put and says so.
 *
 * @throws {InvalidInputError} if it cannot be used, with the reason and the way out.
 * @throws {TransientError} if it cannot be reached.
 */
export async function openStore(
  { store: location }: Environment,
  { patienceMs = PATIENCE_MS, log = console.warn }: OpenStoreOptions = {},
): Promise<ObjectStore> {
  if (location.kind === 'file') {
    await assertNoFile(location.root);
    return createLocalObjectStore({ root: location.root });
  }
  const store = createS3ObjectStore(location);
  const giveUpAt = Date.now() + patienceMs;
  for (let failures = 0; ; failures++) {
    try {
      await probeStore(store, `${Date.now()}-${randomBytes(6).toString('hex')}`);
      return store;
    } catch (error) {
      if (!(error instanceof TransientError) || Date.now() >= giveUpAt) throw error;
      if (failures === 0) log(`waiting for the object store: ${describeError(error)}`);
      await sleep(PAUSE_MS);
    }
  }
}

/** To a reader a file is a store without objects: it would seem to work until the first put. */
async function assertNoFile(root: string): Promise<void> {
  const found = await stat(root).catch(() => null);
  if (found === null || found.isDirectory()) return;
  throw new InvalidInputError(
    'the object store cannot be used: expected a folder, got a file; name another place in RATCHET_STORE or RATCHET_HOME',
    { context: { root } },
  );
}

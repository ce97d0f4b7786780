import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../src/adapters/local-store/fs-errors';
import { localDisk } from '../src/adapters/spool/disk';
import { scanFrames } from '../src/adapters/spool/frames';
import { createSpoolDrain } from '../src/gateway/recording/drain-spool';
import type { ObjectStore } from '../src/storage/object-store';
import type { Environment } from './env';
import { openSpool } from './open-spool';

export interface SpoolErased {
  /** Files of gateways that run here and were not drained in time: those leave out what is erased once they are. */
  readonly waiting: number;
  /** Pieces that could not be read, named it, and are gone; and those that do not name anybody. */
  readonly quarantined: number;
  readonly unattributed: number;
}

const LOOK_EVERY_MS = 250;
const GRACE_MS = 15_000;
/** A file's own first record is about a hundred; what does not fit is an entry. */
const BEGINNING_BYTES = 4_096;

/**
 * The spool of this machine, once it is written down what is erased: what stopped gateways left is drained here and now, without it; what
 * running ones hold they drain themselves, and it is waited for that.
 */
export async function eraseSpool(
  env: Environment,
  store: ObjectStore,
  names: readonly string[],
): Promise<SpoolErased> {
  const { root, maxAgeMs } = env.spool;
  const logs = await logsIn(root);
  if (logs.length > 0) {
    const drain = createSpoolDrain({ spool: await openSpool(env), store });
    await drain.drain();
    await drain.close(GRACE_MS);
  }
  const until = Date.now() + maxAgeMs + GRACE_MS;
  let waiting = await filled(logs);
  while (waiting.length > 0) {
    const still = new Set(await logsIn(root));
    waiting = waiting.filter((log) => still.has(log));
    if (waiting.length === 0 || Date.now() > until) break;
    await sleep(LOOK_EVERY_MS);
  }
  return { waiting: waiting.length, ...(await eraseQuarantine(root, names)) };
}

async function logsIn(root: string): Promise<string[]> {
  const logs: string[] = [];
  for (const folder of await namesIn(root)) {
    if (!/^[0-9a-f]{16}$/.test(folder)) continue;
    for (const name of await namesIn(join(root, folder)))
      if (name.endsWith('.log')) logs.push(join(root, folder, name));
  }
  return logs;
}

/** A gateway that has nothing to do keeps a file that it has begun and nobody will drain. */
async function filled(logs: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const log of logs) if (await isFilled(log)) found.push(log);
  return found;
}

/** Whether there is more in a file than how it begins. Looks no further: a spool may hold a gigabyte. */
async function isFilled(log: string): Promise<boolean> {
  try {
    const { frames, damaged, torn } = scanFrames(await localDisk.read(log, BEGINNING_BYTES));
    return damaged.length > 0 || torn !== null || frames.some(({ kind }) => kind !== 'file');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false; // drained meanwhile
    throw error;
  }
}

async function eraseQuarantine(
  root: string,
  names: readonly string[],
): Promise<Pick<SpoolErased, 'quarantined' | 'unattributed'>> {
  const needles = names.map((name) => JSON.stringify(name).slice(1, -1));
  let [quarantined, unattributed] = [0, 0];
  for (const name of await namesIn(join(root, 'quarantine'))) {
    const path = join(root, 'quarantine', name);
    if (!(await stat(path)).isFile()) continue;
    const text = await readFile(path, 'utf8');
    if (needles.some((needle) => text.includes(needle))) {
      await rm(path);
      quarantined += 1;
    } else {
      unattributed += 1;
    }
  }
  return { quarantined, unattributed };
}

/** None where there is no folder: nothing was ever spooled, or it was removed meanwhile. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isErrno } from './errno';
import { processIdentity } from './process-table';

const holderSchema = z.object({
  id: z.string(),
  pid: z.number().int(),
  identity: z.string(),
  host: z.string(),
});
export type Holder = z.infer<typeof holderSchema>;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once with a description of the holder if the lock is not free. */
  readonly onWait?: (holder: string) => void;
  readonly pollMs?: number;
}

/** A holder on another host cannot be looked up: its lock, never refreshed, is taken for abandoned after this long. */
const FOREIGN_LOCK_MS = 60 * 60_000;
/** Breaking a lock takes a millisecond; a breaker's mark older than this was left by a crash. */
const BREAKER_MS = 10_000;

/**
 * Runs `work` while holding the lock file at `path`; others wait. The lock of a process that died is taken over.
 * The file appears complete or not at all (a link to a written file), so there is no half-written holder.
 *
 * @throws the signal's reason when it is aborted while waiting, or what `work` throws.
 */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  { signal, onWait, pollMs = 250 }: LockOptions = {},
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const mine: Holder = {
    id: randomUUID(),
    pid: process.pid,
    identity: (await processIdentity(process.pid)) ?? '',
    host: hostname(),
  };
  for (let waited = false; !(await tryLink(path, mine));) {
    signal?.throwIfAborted();
    const holder = await readHolder(path);
    if (holder === undefined) continue; // released just now
    if (await isAbandoned(path, holder)) {
      await breakLock(path, holder);
      continue;
    }
    if (!waited) onWait?.(`process ${holder.pid} on ${holder.host}`);
    waited = true;
    await sleep(pollMs);
  }
  try {
    return await work();
  } finally {
    if ((await readHolder(path))?.id === mine.id) await rm(path, { force: true });
  }
}

async function tryLink(path: string, holder: Holder): Promise<boolean> {
  const written = `${path}.${holder.id}`;
  await writeFile(written, JSON.stringify(holder));
  try {
    await link(written, path); // atomic: fails if the lock exists
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  } finally {
    await rm(written, { force: true });
  }
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    // Not written by us, or damaged on disk: nobody holds it.
    return { id: 'unreadable', pid: -1, identity: '', host: hostname() };
  }
}

async function isAbandoned(path: string, holder: Holder): Promise<boolean> {
  if (holder.host === hostname()) return (await processIdentity(holder.pid)) !== holder.identity;
  return (await ageMs(path)) > FOREIGN_LOCK_MS;
}

/**
 * Removes a dead holder's lock. Only the one who wins the breaker's mark may remove it, after reading it again: without
 * that, of two who saw the same dead holder the slower would remove the lock that the faster has just taken. Exported for its test only.
 */
export async function breakLock(path: string, dead: Holder): Promise<void> {
  const mark = `${path}.break`;
  try {
    await writeFile(mark, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    if ((await ageMs(mark)) > BREAKER_MS) await rm(mark, { force: true });
    await sleep(20);
    return;
  }
  try {
    if ((await readHolder(path))?.id === dead.id) await unlink(path);
  } finally {
    await rm(mark, { force: true });
  }
}

async function ageMs(path: string): Promise<number> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 0; // gone already
    throw error;
  }
}

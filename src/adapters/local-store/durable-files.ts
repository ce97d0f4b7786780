import { createHash, randomBytes } from 'node:crypto';
import { type BigIntStats } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { IntegrityError } from '../../errors';
import type { Body } from '../../storage/object-store';
import { hasCode, nullIfMissing } from './fs-errors';

/** A body that is whole, checked and on disk, but under no name that a reader looks at. */
export interface Staged {
  readonly path: string;
  readonly stat: BigIntStats;
}

export interface DurableFiles {
  /** Makes the folders, and removes what crashed writers left in tmp/ more than an hour ago. */
  open(): Promise<void>;
  /** Writes a body next to the objects. A crash leaves a file in tmp/, which no reader sees and a later `open` removes. */
  stage(body: Body, expectedSha256: string | undefined): Promise<Staged>;
  /** Gives a staged file its name, atomically. False if the name is taken. Its folder must still be synced. */
  publish(staged: Staged, path: string): Promise<boolean>;
  discard(staged: Staged): Promise<void>;
  /** Makes the names in this folder, and the folder itself, survive a power failure. For folders of objects. */
  readonly syncFolder: (folder: string) => Promise<void>;
}

const PIECE_BYTES = 4 * 1024 * 1024;
const ABANDONED_AFTER_MS = 60 * 60 * 1000; // since the last byte was written to it

/**
 * @param durable false leaves out every fsync: a process may still die at any time, the machine may not. For tests.
 */
export function createDurableFiles(
  objects: string,
  temporary: string,
  durable: boolean,
): DurableFiles {
  // Folders whose own names this process has synced. None is ever removed, so one sync of the way up is enough.
  const syncedWays = new Set<string>([objects]);

  const syncFolder = async (folder: string): Promise<void> => {
    if (!durable) return;
    await syncPath(folder);
    if (syncedWays.has(folder)) return;
    // Another process may have made the folder and died before it synced it, so this does not trust that it exists.
    await syncFolder(dirname(folder));
    syncedWays.add(folder);
  };

  return {
    async open() {
      for (const folder of [objects, temporary]) {
        const made = await mkdir(folder, { recursive: true });
        // Sync the folder above each one that was made.
        for (let at = folder; durable && made !== undefined && at.length >= made.length;) {
          at = dirname(at);
          await syncPath(at);
        }
      }
      await sweep(temporary);
    },

    async stage(body, expectedSha256) {
      const { path, handle } = await openUnique(temporary);
      try {
        const sha256 = await write(handle, body, expectedSha256 !== undefined);
        if (sha256 !== undefined && sha256 !== expectedSha256) {
          throw new IntegrityError(
            `a body is not what was announced: expected sha256 ${expectedSha256}, got ${sha256}; nothing was written`,
          );
        }
        const modified = uniqueTimeSeconds();
        await handle.utimes(modified, modified);
        if (durable) await handle.sync();
        return { path, stat: await handle.stat({ bigint: true }) };
      } catch (error) {
        await nullIfMissing(unlink(path));
        throw error;
      } finally {
        await handle.close();
      }
    },

    async publish(staged, path) {
      for (let attempt = 0; ; attempt++) {
        try {
          await link(staged.path, path);
          return true;
        } catch (error) {
          if (hasCode(error, 'EEXIST')) return false;
          // The first time, the folder is missing; after that it is the staged file, which a sweep took.
          if (attempt > 0 || !hasCode(error, 'ENOENT')) throw error;
          await mkdir(dirname(path), { recursive: true });
        }
      }
    },

    async discard(staged) {
      await nullIfMissing(unlink(staged.path));
    },

    syncFolder,
  };
}

/** Safe at any time: whoever is robbed of a living file fails before anything of it is visible. */
async function sweep(temporary: string): Promise<void> {
  for (const name of await readdir(temporary)) {
    const path = join(temporary, name);
    const found = await nullIfMissing(stat(path));
    // ctime, because mtime is not the time of the last write here.
    if (found !== null && Date.now() - found.ctimeMs > ABANDONED_AFTER_MS) {
      await nullIfMissing(unlink(path));
    }
  }
}

async function openUnique(folder: string): Promise<{ path: string; handle: FileHandle }> {
  const path = join(folder, randomBytes(12).toString('hex'));
  for (let attempt = 0; ; attempt++) {
    try {
      return { path, handle: await open(path, 'wx', 0o644) };
    } catch (error) {
      if (attempt > 0 || !hasCode(error, 'ENOENT')) throw error;
      await mkdir(folder, { recursive: true });
    }
  }
}

/** The sha256 of what was written, if it was asked for. */
async function write(handle: FileHandle, body: Body, hashed: boolean): Promise<string | undefined> {
  const hash = hashed ? createHash('sha256') : undefined;
  for await (const chunk of body instanceof Uint8Array ? pieces(body) : body) {
    hash?.update(chunk);
    for (let at = 0; at < chunk.byteLength;) {
      const { bytesWritten } = await handle.write(chunk, at, chunk.byteLength - at);
      at += bytesWritten;
    }
  }
  return hash?.digest('hex');
}

/** A large array in pieces: hashing one of a gigabyte at once would stop this process from answering for seconds. */
function* pieces(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}

/**
 * A time within the last second, random to the microsecond. Etags are made of modification times, which the kernel only advances every few
 * milliseconds: a key that is deleted and written again within one tick would get its old etag back.
 */
function uniqueTimeSeconds(): number {
  return Date.now() / 1000 - randomBytes(4).readUInt32LE() / 2 ** 32;
}

async function syncPath(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

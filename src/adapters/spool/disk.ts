import {
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  utimes,
} from 'node:fs/promises';

/** A file that is only ever appended to. */
export interface AppendFile {
  /** Writes all of it, or throws: then any part may have been written. */
  write(bytes: Uint8Array): Promise<void>;
  /** What was written survives a power failure (fdatasync). */
  datasync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** What the spool needs of a file system; a port, so that a test can fill the disk and break it. */
export interface Disk {
  /** Creates the file; it must not exist. */
  create(path: string): Promise<AppendFile>;
  /** The whole file, or its first `limit` bytes. */
  read(path: string, limit?: number): Promise<Buffer>;
  /** Names, or null if there is no such folder. */
  list(path: string): Promise<string[] | null>;
  stat(path: string): Promise<{ readonly sizeBytes: number; readonly modifiedAt: number } | null>;
  makeFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for a file. False if the name is taken. */
  link(from: string, to: string): Promise<boolean>;
  /** Removing what is not there is fine. */
  remove(path: string): Promise<void>;
  /** False if there is something in it. */
  removeFolder(path: string): Promise<boolean>;
  /** Sets the time of its last change to now. */
  touch(path: string): Promise<void>;
  /** The names in it survive a power failure. */
  syncFolder(path: string): Promise<void>;
}

/** By its shape, not by `instanceof`: the errors of Node's own modules may come from another realm than this one's `Error`. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export const localDisk: Disk = {
  async create(path) {
    const handle = await open(path, 'ax', 0o600);
    return {
      async write(bytes) {
        for (let at = 0; at < bytes.byteLength;) {
          at += (await handle.write(bytes, at, bytes.byteLength - at)).bytesWritten;
        }
      },
      datasync: () => handle.datasync(),
      truncate: (sizeBytes) => handle.truncate(sizeBytes),
      close: () => handle.close(),
    };
  },
  async read(path, limit) {
    if (limit === undefined) return readFile(path);
    const handle = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(limit), 0, limit, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  },
  list: (path) => orIf(['ENOENT'], null, readdir(path)),
  stat: async (path) => {
    const found = await orIf(['ENOENT'], null, stat(path));
    return found === null ? null : { sizeBytes: found.size, modifiedAt: found.mtimeMs };
  },
  makeFolder: async (path) => void (await mkdir(path, { recursive: true, mode: 0o700 })),
  rename: (from, to) => rename(from, to),
  link: (from, to) =>
    orIf(
      ['EEXIST'],
      false,
      link(from, to).then(() => true),
    ),
  remove: (path) => rm(path, { force: true }),
  removeFolder: (path) =>
    orIf(
      ['ENOTEMPTY', 'EEXIST'],
      false,
      orIf(
        ['ENOENT'],
        true,
        rmdir(path).then(() => true),
      ),
    ),
  touch: async (path) => {
    const now = new Date();
    await utimes(path, now, now);
  },
  async syncFolder(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

async function orIf<T, E>(codes: readonly string[], instead: E, work: Promise<T>): Promise<T | E> {
  try {
    return await work;
  } catch (error) {
    if (codes.includes(codeOf(error) ?? '')) return instead;
    throw error;
  }
}

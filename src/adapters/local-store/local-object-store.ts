import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { InvalidInputError, NotFoundError, TransientError } from '../../errors';
import { assertKey } from '../../storage/keys';
import type {
  Body,
  ByteRange,
  Etag,
  ObjectStore,
  PutCondition,
  PutOptions,
  PutOutcome,
} from '../../storage/object-store';
import { createDurableFiles } from './durable-files';
import { nullIfMissing, toStoreError } from './fs-errors';
import { pathsBelow, replacementsOf, toDiskName } from './paths';
import {
  KEPT_MS,
  type Version,
  cleanUp,
  currentVersion,
  etagOf,
  hasReplacements,
  putTombstone,
  versionPath,
} from './versions';
import { walk } from './walk';

export interface LocalObjectStoreOptions {
  /** The folder of the store; made at the first write. One disk with hard links: ext4, xfs, btrfs, APFS, NTFS, NFS; not FAT. */
  readonly root: string;
  /**
   * False leaves out every fsync, for tests: what was answered survives the death of any process, but not of the machine.
   *
   * @default true
   */
  readonly durable?: boolean;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Objects as files in a folder, shared by any number of processes: the embedded default. README.md in this folder says how it keeps the
 * promises of the port. Opens nothing and holds nothing: there is no close.
 */
export function createLocalObjectStore(options: LocalObjectStoreOptions): ObjectStore {
  const root = resolve(options.root);
  const { objects, temporary } = pathsBelow(root);
  const files = createDurableFiles(objects, temporary, options.durable ?? true);

  const pathOf = (key: string): string => {
    assertKey(key);
    return join(objects, toDiskName(key));
  };

  let opened: Promise<void> | undefined;
  const openOnce = (): Promise<void> =>
    (opened ??= files.open().catch((error: unknown) => {
      opened = undefined; // the next put tries again
      throw error;
    }));

  /** @throws {TransientError} if the name `version.number` was taken so late that another writer may have had it before. */
  const confirm = async (objectPath: string, version: Version, since: number): Promise<void> => {
    if (Date.now() - since < KEPT_MS / 2) return;
    const { number } = await currentVersion(objectPath);
    if (number === version.number) return;
    throw new TransientError(
      'the local store was suspended in the middle of a put, and others wrote meanwhile: whether it was committed is not known; read the key and decide again',
    );
  };

  const put = async (
    key: string,
    body: Body,
    { sha256, ...condition }: PutOptions = {},
  ): Promise<PutOutcome> => {
    const objectPath = pathOf(key);
    const refused = await refusal(condition, objectPath, files.syncFolder);
    if (refused !== null) return refused; // without writing a large body for nothing

    await openOnce();
    const staged = await files.stage(body, sha256);
    let isAnnounced = false;
    try {
      for (;;) {
        const since = Date.now();
        const before = await currentVersion(objectPath);
        const lost = await refusal(condition, objectPath, files.syncFolder, before);
        if (lost !== null) return lost;

        const isFirst = before.number === 0 && before.stat === null;
        const number = isFirst ? 0 : before.number + 1;
        const path = versionPath(objectPath, number);
        if (number === 1 && !isAnnounced) {
          // A delete relies on this folder being made before the version that is replaced is looked at: so look again.
          await mkdir(dirname(path), { recursive: true });
          isAnnounced = true;
          continue;
        }
        if (!(await files.publish(staged, path))) {
          if (isFirst) await assertNoFolder(objectPath, key);
          continue; // another writer took the name: look what is there now
        }
        const version = { number, path, stat: staged.stat };
        await confirm(objectPath, version, since);
        await files.syncFolder(dirname(path));
        if (number > 0) await cleanUp(objectPath);
        return { committed: true, etag: etagOf(version, staged.stat) };
      }
    } finally {
      await files.discard(staged);
    }
  };

  const remove = async (key: string): Promise<void> => {
    const objectPath = pathOf(key);
    if (!(await hasReplacements(objectPath))) {
      await nullIfMissing(unlink(objectPath));
      // Whoever replaces a version makes the folder of replacements before looking at that version. There is none now, so any such
      // writer will see that the key is gone; otherwise a tombstone must take the name that it is about to take.
      if (!(await hasReplacements(objectPath))) {
        await nullIfMissing(files.syncFolder(dirname(objectPath)));
        return;
      }
    }
    for (;;) {
      const { number, stat } = await currentVersion(objectPath);
      const isDeleted = stat === null && number > 0;
      if (!isDeleted && !(await putTombstone(objectPath, number + 1))) continue;
      await files.syncFolder(replacementsOf(objectPath));
      await cleanUp(objectPath);
      return;
    }
  };

  return {
    async get(key) {
      const { handle, etag, sizeBytes } = await openObject(key, pathOf(key));
      try {
        const bytes = new Uint8Array(sizeBytes);
        await readFully(handle, bytes, 0, key);
        return { bytes, etag };
      } catch (error) {
        throw toStoreError(error, 'read an object', key);
      } finally {
        await handle.close();
      }
    },

    async *getStream(key, range) {
      const { handle, sizeBytes } = await openObject(key, pathOf(key));
      try {
        const { start, end } = within(range, sizeBytes, key);
        for (let at = start; at < end; at += CHUNK_BYTES) {
          const chunk = new Uint8Array(Math.min(CHUNK_BYTES, end - at));
          await readFully(handle, chunk, at, key);
          yield chunk;
        }
      } catch (error) {
        throw toStoreError(error, 'read an object', key);
      } finally {
        await handle.close();
      }
    },

    head: (key) =>
      doing('look at an object', key, async () => {
        const version = await currentVersion(pathOf(key));
        if (version.stat === null) return null;
        return { etag: etagOf(version, version.stat), sizeBytes: Number(version.stat.size) };
      }),

    put: (key, body, putOptions) => doing('write an object', key, () => put(key, body, putOptions)),

    async *list(prefix, listOptions = {}) {
      try {
        yield* walk(objects, prefix, listOptions);
      } catch (error) {
        throw toStoreError(error, 'list objects', prefix);
      }
    },

    delete: (key) => doing('delete an object', key, () => remove(key)),
  };
}

/** The outcome if the condition does not hold, else null. What the caller is told to be there is made durable first. */
async function refusal(
  { ifAbsent, ifMatch }: PutCondition,
  objectPath: string,
  syncFolder: (folder: string) => Promise<void>,
  known?: Version,
): Promise<PutOutcome | null> {
  if (ifAbsent !== true && ifMatch === undefined) return null;
  const version = known ?? (await currentVersion(objectPath));
  const current: Etag | null = version.stat === null ? null : etagOf(version, version.stat);
  if (ifAbsent === true ? current === null : current === ifMatch) return null;
  if (current !== null) await nullIfMissing(syncFolder(dirname(version.path)));
  return { committed: false, current };
}

interface OpenObject {
  readonly handle: FileHandle;
  readonly etag: Etag;
  readonly sizeBytes: number;
}

/** @throws {NotFoundError} if the key is absent. */
async function openObject(key: string, objectPath: string): Promise<OpenObject> {
  return doing('open an object', key, async () => {
    for (;;) {
      const version = await currentVersion(objectPath);
      if (version.stat === null) {
        throw new NotFoundError('there is no such object', { context: { key } });
      }
      const handle = await nullIfMissing(open(version.path, 'r'));
      if (handle === null) continue; // deleted, or replaced and cleaned up, since it was looked at
      // Versions are never written to, so the open file is one whole version, whatever happens to its name.
      const stat = await handle.stat({ bigint: true });
      return { handle, etag: etagOf(version, stat), sizeBytes: Number(stat.size) };
    }
  });
}

async function readFully(
  handle: FileHandle,
  into: Uint8Array,
  position: number,
  key: string,
): Promise<void> {
  for (let at = 0; at < into.byteLength;) {
    const { bytesRead } = await handle.read(into, at, into.byteLength - at, position + at);
    if (bytesRead === 0) {
      throw new TransientError('an object ended early: something else cut its file', {
        context: { key, expected: position + into.byteLength, got: position + at },
      });
    }
    at += bytesRead;
  }
}

function within(
  range: ByteRange | undefined,
  sizeBytes: number,
  key: string,
): { start: number; end: number } {
  const { start, end = sizeBytes } = range ?? { start: 0 };
  const isEmpty = sizeBytes === 0 && start === 0;
  if (!isEmpty && (start < 0 || start >= sizeBytes || end <= start)) {
    throw new InvalidInputError(`a range does not fit: expected it within ${sizeBytes} bytes`, {
      context: { key, start, end },
    });
  }
  return { start, end: Math.min(end, sizeBytes) };
}

async function assertNoFolder(objectPath: string, key: string): Promise<void> {
  const handle = await nullIfMissing(open(objectPath, 'r'));
  if (handle === null) return;
  try {
    if (!(await handle.stat()).isDirectory()) return;
  } finally {
    await handle.close();
  }
  throw new InvalidInputError('a key is the folder of other keys: no object can be there', {
    context: { key },
  });
}

async function doing<T>(what: string, key: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toStoreError(error, what, key);
  }
}

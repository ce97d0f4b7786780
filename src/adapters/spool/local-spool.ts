import { join } from 'node:path';
import { TransientError } from '../../errors';
import type { Spool, SpooledFile, SpoolEntry } from '../../gateway/recording/spool';
import { GROUP_BUCKETS, SpoolFullError } from '../../gateway/recording/spool';
import type { Disk } from './disk';
import { codeOf, localDisk } from './disk';
import { logName, logNumber } from './log-file';
import type { WrittenLog } from './log-writer';
import { createLogWriter } from './log-writer';
import { readLog } from './read-log';
import type { Processes, SpoolFolder } from './spool-folder';
import { adoptFolders, createFolder } from './spool-folder';

export interface LocalSpoolOptions {
  /** Shared by the processes of this machine: each makes a folder of its own in it. */
  readonly root: string;
  readonly processes: Processes;
  /** What may be on disk undrained before entries are refused. @default 1 GiB */
  readonly maxBytes?: number;
  /** Entries that may wait for the disk. @default 4096 */
  readonly maxWaiting?: number;
  /** A file this large is ended. @default 8 MiB */
  readonly maxFileBytes?: number;
  /** A file whose first entry is this old is ended. @default 30 s */
  readonly maxFileAgeMs?: number;
  readonly disk?: Disk;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

interface Waiting {
  readonly entry: SpoolEntry;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A file that is in `sealed`, with what only we know of it. */
interface Sealed {
  readonly file: SpooledFile;
  readonly folder: SpoolFolder;
  readonly number: number;
  /** Of this process; 0 for adopted files, which are only counted when they are read. */
  readonly entries: number;
  readonly startedAt: number;
}

const RENEW_MS = 10_000;
const QUARANTINE = 'quarantine';
const UNFINISHED = '.unfinished';

/**
 * The spool in a folder on local disk; README.md has the layout. Nothing is made before the first entry comes.
 *
 * Where an entry cannot be made durable its promise rejects, and nothing is tried again behind the caller's back.
 */
export function createLocalSpool({
  root,
  processes,
  maxBytes = 2 ** 30,
  maxWaiting = 4_096,
  maxFileBytes = 8 * 2 ** 20,
  maxFileAgeMs = 30_000,
  disk = localDisk,
  now = Date.now,
}: LocalSpoolOptions): Spool {
  const folders = new Set<SpoolFolder>();
  /** Oldest first. */
  let adoptedFiles: Sealed[] = [];
  let ownFiles: Sealed[] = [];
  const waiting: Waiting[] = [];
  const counters = {
    ...{ appended: 0, appendedBytes: 0, failedGroups: 0, refusedFull: 0, fsyncs: 0 },
    ...{ adopted: 0, tornTails: 0, quarantined: 0 },
    groupSizes: [...GROUP_BUCKETS, 0].map(() => 0),
  };
  let isClosed = false;

  const writer = createLogWriter({
    ...{ maxFileBytes, maxFileAgeMs, now },
    disk: counting(disk, () => counters.fsyncs++),
    newFolder: async () => {
      await disk.makeFolder(root);
      const folder = await createFolder(disk, root, processes);
      folders.add(folder);
      return folder;
    },
    onSealed: (log) => ownFiles.push(sealedOf(log)),
    onLost: (folder) => {
      folders.delete(folder);
      ownFiles = ownFiles.filter((sealed) => sealed.folder !== folder);
    },
    onGroup: (entries, sizeBytes) => {
      counters.appended += entries;
      counters.appendedBytes += sizeBytes;
      if (entries > 0) counters.groupSizes[bucketOf(entries)]! += 1;
    },
  });

  const renewal = setInterval(() => {
    // An owner's file that cannot be touched makes processes of other hosts take us for dead, which loses nothing.
    for (const folder of folders) folder.renew().catch(() => undefined);
  }, RENEW_MS);
  renewal.unref();

  const sealed = (): Sealed[] => [...adoptedFiles, ...ownFiles];
  const usedBytes = (): number =>
    sealed().reduce((sum, { file }) => sum + file.sizeBytes, writer.current()?.sizeBytes ?? 0);

  const later = (of: SpoolFolder, number: number): number[] => {
    const current = writer.current();
    return [
      ...sealed().flatMap((other) => (other.folder === of ? [other.number] : [])),
      ...(current?.folder === of ? [current.number] : []),
    ].filter((other) => other > number);
  };

  const spooledFile = (
    folder: SpoolFolder,
    number: number,
    sizeBytes: number,
    isOwn: boolean,
  ): SpooledFile => {
    const name = `${folder.name}-${String(number).padStart(8, '0')}`;
    const quarantine = async (what: string, bytes: Uint8Array): Promise<void> => {
      if (await keepAside(disk, root, `${name}-${what}`, bytes)) counters.quarantined++;
    };
    let isTorn = false; // however often it is read
    const onTorn = (): void => {
      if (!isTorn) counters.tornTails++;
      isTorn = true;
    };
    return {
      name,
      folder: folder.name,
      sizeBytes,
      quarantine,
      read: () =>
        readLog(
          { disk, quarantine, onTorn },
          {
            ...{ folder: folder.path, number, later: later(folder, number) },
            sizeBytes: isOwn ? sizeBytes : null,
          },
        ),
      async remove() {
        await disk.remove(join(folder.path, logName(number)));
        const isOther = (one: Sealed): boolean => one.file.name !== name;
        [adoptedFiles, ownFiles] = [adoptedFiles.filter(isOther), ownFiles.filter(isOther)];
        if (!isOwn && later(folder, number).length === 0) {
          folders.delete(folder);
          await folder.remove();
        }
      },
    };
  };
  const sealedOf = ({ folder, number, sizeBytes, entries, startedAt }: WrittenLog): Sealed => ({
    ...{ folder, number, entries, startedAt },
    file: spooledFile(folder, number, sizeBytes, true),
  });

  /** Runs what touches the writer, one at a time. */
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };

  /** Everything that waits goes into one group: while it is written, the next one gathers. */
  const writeGroup = async (): Promise<void> => {
    const group = waiting.splice(0);
    if (group.length === 0) return;
    try {
      await writer.write(group.map(({ entry }) => entry));
      for (const { resolve } of group) resolve();
    } catch (cause) {
      counters.failedGroups++;
      for (const { reject } of group) reject(toSpoolError(cause));
    }
  };

  return {
    append(entry) {
      if (isClosed) return Promise.reject(new TransientError('the spool is closed'));
      if (entry.closes === undefined && usedBytes() >= maxBytes) {
        counters.refusedFull++;
        return Promise.reject(new SpoolFullError(maxBytes));
      }
      if (waiting.length >= maxWaiting) {
        return Promise.reject(
          new TransientError(
            `too much waits for the spool’s disk: expected less than ${maxWaiting} entries; the disk is slower than the traffic`,
          ),
        );
      }
      return new Promise((resolve, reject) => {
        waiting.push({ entry, resolve, reject });
        if (waiting.length === 1) void inTurn(writeGroup);
      });
    },

    seal: (when) =>
      inTurn(async () => {
        try {
          if (when === 'now' || writer.isDue()) await writer.rotate();
        } catch (cause) {
          throw toSpoolError(cause);
        }
      }),

    async adopt() {
      const isOurs = (name: string): boolean => [...folders].some((one) => one.name === name);
      const found: Sealed[][] = [];
      try {
        await disk.makeFolder(root);
        await adoptFolders(disk, root, processes, isOurs, async (folder) => {
          found.push(await logsOf(folder));
          counters.adopted++;
        });
      } catch (cause) {
        throw toSpoolError(cause, 'looked through');
      } finally {
        // Folders by their oldest file; within a folder, files by number.
        const startOf = (files: Sealed[]): number =>
          Math.min(...files.map((file) => file.startedAt));
        adoptedFiles.push(...found.sort((a, b) => startOf(a) - startOf(b)).flat());
      }
      const kept = (await disk.list(join(root, QUARANTINE))) ?? [];
      counters.quarantined = kept.filter((name) => !name.endsWith(UNFINISHED)).length;
    },

    sealed: () => sealed().map(({ file }) => file),

    snapshot() {
      const current = writer.current();
      const all = sealed();
      // One that holds nothing but what was carried into it is not worth draining, and is not.
      const started = [...all, ...(current === null || current.entries === 0 ? [] : [current])];
      return {
        ...counters,
        groupSizes: [...counters.groupSizes],
        bytes: usedBytes(),
        maxBytes,
        files: started.length,
        entries: started.reduce((sum, { entries }) => sum + entries, 0),
        oldestAt:
          started.length === 0 ? null : Math.min(...started.map(({ startedAt }) => startedAt)),
      };
    },

    async close() {
      isClosed = true;
      await inTurn(writeGroup);
      await inTurn(() => writer.close());
    },

    async release() {
      clearInterval(renewal);
      for (const folder of folders) {
        if (sealed().some((file) => file.folder === folder)) await folder.release();
        else await folder.remove();
      }
      folders.clear();
    },
  };

  /** The files of a folder that was adopted. One without any is removed. */
  async function logsOf(folder: SpoolFolder): Promise<Sealed[]> {
    const files: Sealed[] = [];
    for (const name of ((await disk.list(folder.path)) ?? []).sort()) {
      const number = logNumber(name);
      const found = number === null ? null : await disk.stat(join(folder.path, name));
      if (number === null || found === null) continue;
      const file = spooledFile(folder, number, found.sizeBytes, false);
      files.push({ file, folder, number, entries: 0, startedAt: found.modifiedAt });
    }
    if (files.length === 0) await folder.remove();
    else folders.add(folder);
    return files;
  }
}

function bucketOf(entries: number): number {
  const bucket = GROUP_BUCKETS.findIndex((most) => entries <= most);
  return bucket === -1 ? GROUP_BUCKETS.length : bucket;
}

function counting(disk: Disk, onSync: () => void): Disk {
  return {
    ...disk,
    async create(path) {
      const file = await disk.create(path);
      return {
        ...file,
        datasync() {
          onSync();
          return file.datasync();
        },
      };
    },
  };
}

/** Writes a piece into the quarantine. The same piece again is the same file. @returns whether it is new. */
async function keepAside(
  disk: Disk,
  root: string,
  name: string,
  bytes: Uint8Array,
): Promise<boolean> {
  const folder = join(root, QUARANTINE);
  const path = join(folder, name);
  if ((await disk.stat(path)) !== null) return false;
  await disk.makeFolder(folder);
  const unfinished = `${path}${UNFINISHED}`;
  await disk.remove(unfinished); // of a crash
  const file = await disk.create(unfinished);
  try {
    await file.write(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.rename(unfinished, path);
  await disk.syncFolder(folder);
  return true;
}

function toSpoolError(cause: unknown, doing = 'written'): Error {
  const code = codeOf(cause);
  const help =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'the disk is full: make room, or move RATCHET_SPOOL'
      : 'look at the disk and at the rights of its folder';
  return new TransientError(`the spool could not be ${doing}: ${help}`, {
    context: { code },
    cause,
  });
}

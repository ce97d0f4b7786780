import { join } from 'node:path';
import type { SpoolEntry } from '../../gateway/recording/spool';
import type { AppendFile, Disk } from './disk';
import { encodeEntry, encodeHead, encodePart, logName } from './log-file';
import type { SpoolFolder } from './spool-folder';

/** A file that is complete, as its writer knows it. */
export interface WrittenLog {
  readonly folder: SpoolFolder;
  readonly number: number;
  readonly sizeBytes: number;
  /** Without those that were carried over from the file before. */
  readonly entries: number;
  /** When its first entry was written, in milliseconds since 1970. */
  readonly startedAt: number;
}

export interface LogWriterOptions {
  readonly disk: Disk;
  /** Makes a folder: the first one, and another when one was lost. */
  readonly newFolder: () => Promise<SpoolFolder>;
  readonly maxFileBytes: number;
  readonly maxFileAgeMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Called once its successor is durable: from then on nobody writes to it. */
  readonly onSealed: (log: WrittenLog) => void;
  /** The folder's files are the adopter's now. */
  readonly onLost: (folder: SpoolFolder) => void;
  readonly onGroup: (entries: number, sizeBytes: number) => void;
}

export interface LogWriter {
  /** Resolves when they are durable, all of them. One at a time: the caller waits for each group. */
  write(group: readonly SpoolEntry[]): Promise<void>;
  /** Ends the current file if it holds anything, by beginning the next. */
  rotate(): Promise<void>;
  /** The file that is being written; null before the first entry. */
  current(): WrittenLog | null;
  isDue(): boolean;
  /** Ends the current file without a next one. */
  close(): Promise<void>;
}

interface OpenLog {
  readonly folder: SpoolFolder;
  readonly number: number;
  readonly handle: AppendFile;
  /** Ids of parts that are in it. */
  readonly parts: Set<string>;
  /** How much of it is durable. */
  sizeBytes: number;
  entries: number;
  startedAt: number;
  /** By a clock that nobody sets. */
  startedTick: number;
  /** A write or an fsync failed: what the kernel still holds of it is unknown, so nothing more goes into it. */
  isBroken: boolean;
}

/** A group that fails is written once more, to a new file: one bad file is no reason to lose it. A full disk fails twice. */
const ATTEMPTS = 2;

class LostFolder extends Error {}

/**
 * Writes groups of entries, each with one write and one fdatasync. When a file is large or old, the next group goes to a new one, which begins
 * with the end of its predecessor and with every entry that is open; only when that group is durable is the predecessor sealed.
 *
 * A file whose write or fsync failed is never written to again: after a failed fsync the kernel may have dropped the pages and call the next
 * one a success (https://lwn.net/Articles/752063/). It ends where its last good group did.
 */
export function createLogWriter(options: LogWriterOptions): LogWriter {
  const { disk, maxFileBytes, maxFileAgeMs, now, onSealed, onLost, onGroup } = options;
  /** Entries that wait to be closed, by key. */
  const open = new Map<string, SpoolEntry>();
  let folder: SpoolFolder | null = null;
  let log: OpenLog | null = null;
  let numbers = 0;

  const begin = async (): Promise<OpenLog> => {
    folder ??= await options.newFolder();
    const number = ++numbers;
    const handle = await disk.create(join(folder.path, logName(number)));
    return {
      ...{ folder, number, handle, parts: new Set(), sizeBytes: 0, entries: 0 },
      ...{ startedAt: now(), startedTick: performance.now(), isBroken: false },
    };
  };

  const isDue = (): boolean =>
    log !== null &&
    (log.isBroken ||
      log.sizeBytes >= maxFileBytes ||
      (log.entries > 0 && performance.now() - log.startedTick >= maxFileAgeMs));

  const write = async (group: readonly SpoolEntry[], mustRotate: boolean): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      let target: OpenLog | null = null;
      try {
        const current = log;
        const isNew = current === null || mustRotate || isDue();
        target = isNew ? await begin() : current;
        const { bytes, parts } = encode(target, isNew ? current : undefined, group, open);
        await target.handle.write(bytes);
        await target.handle.datasync();
        if (isNew) await disk.syncFolder(target.folder.path);
        // Last: whoever takes the folder over after this reads what was just written.
        if (await target.folder.isLost()) throw new LostFolder('another process took the folder');
        succeed(target, group, bytes.byteLength, parts);
        return;
      } catch (error) {
        await giveUp(target, error);
        if (attempt === ATTEMPTS) throw error;
      }
    }
  };

  const succeed = (
    target: OpenLog,
    group: readonly SpoolEntry[],
    sizeBytes: number,
    parts: readonly string[],
  ): void => {
    const previous = log !== target ? log : null;
    if (target.entries === 0) {
      target.startedAt = now();
      target.startedTick = performance.now();
    }
    target.sizeBytes += sizeBytes;
    target.entries += group.length;
    for (const id of parts) target.parts.add(id);
    for (const entry of group) {
      if (entry.opens !== undefined) open.set(entry.opens, entry);
      if (entry.closes !== undefined) open.delete(entry.closes);
    }
    log = target;
    if (previous !== null) {
      void closeQuietly(previous.handle);
      onSealed(previous);
    }
    onGroup(group.length, sizeBytes);
  };

  const giveUp = async (target: OpenLog | null, error: unknown): Promise<void> => {
    if (target === null) return;
    if (error instanceof LostFolder) {
      // Its files are another's to drain, this group's possibly among them; that one's readers count an entry once.
      await closeQuietly(target.handle);
      if (log !== null && log !== target) await closeQuietly(log.handle);
      onLost(target.folder);
      [log, folder] = [null, null];
    } else if (target === log) {
      target.isBroken = true;
      await quietly(target.handle.truncate(target.sizeBytes)); // room for others; readers stop there anyway
    } else {
      await closeQuietly(target.handle);
      await quietly(disk.remove(join(target.folder.path, logName(target.number))));
    }
  };

  return {
    async write(group) {
      try {
        await write(group, false);
      } catch (error) {
        // Whoever waited is told that it is not recorded, so it is open no longer.
        for (const { closes } of group) if (closes !== undefined) open.delete(closes);
        throw error;
      }
    },
    async rotate() {
      if (log !== null && log.entries > 0) await write([], true);
    },
    current: () => log,
    isDue,
    async close() {
      const last = log;
      log = null;
      if (last === null) return;
      await closeQuietly(last.handle);
      if (last.entries > 0 || open.size > 0) onSealed(last);
      else await quietly(disk.remove(join(last.folder.path, logName(last.number))));
    },
  };
}

/** @param previous the file before, for a new one (null if there is none); undefined if the file has begun. */
function encode(
  target: OpenLog,
  previous: OpenLog | null | undefined,
  group: readonly SpoolEntry[],
  open: ReadonlyMap<string, SpoolEntry>,
): { bytes: Buffer; parts: string[] } {
  const frames: Buffer[] = [];
  const parts = new Set<string>();
  if (previous !== undefined) {
    frames.push(
      encodeHead({
        formatVersion: 1,
        name: `${target.folder.name}-${target.number}`,
        previous:
          previous === null ? null : { number: previous.number, sizeBytes: previous.sizeBytes },
      }),
    );
  }
  const carried = previous === undefined ? [] : [...open.values()];
  for (const entry of [...carried, ...group]) {
    for (const [id, text] of entry.parts ?? []) {
      if (target.parts.has(id) || parts.has(id)) continue;
      parts.add(id);
      frames.push(encodePart(id, text()));
    }
    frames.push(encodeEntry(entry));
  }
  return { bytes: Buffer.concat(frames), parts: [...parts] };
}

/** What fails here is of no consequence: the file is not written to, and nothing depends on it any more. */
async function quietly(work: Promise<unknown>): Promise<void> {
  await work.catch(() => undefined);
}

const closeQuietly = (handle: AppendFile): Promise<void> => quietly(handle.close());

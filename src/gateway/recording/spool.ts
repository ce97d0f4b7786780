import { TransientError } from '../../errors';

/**
 * The port of a durable log on this machine's disk, where live calls are kept until they are in the object store. It knows nothing of
 * calls: entries are texts. src/adapters/spool/ has the files, and says what a crash leaves.
 */
export interface Spool {
  /**
   * Resolves once the entry is durable. Entries that come while a group is being written share the next one, and its one fsync.
   *
   * @throws {SpoolFullError} at once, if the spool is full and the entry closes nothing.
   * @throws {TransientError} if it could not be written: the disk is full or broken, too much waits, the spool is closed.
   */
  append(entry: SpoolEntry): Promise<void>;
  /**
   * Ends the file that is being written, so that it can be drained: if its first entry is older than a file may get, or at once.
   *
   * @throws {TransientError} if the next file could not be begun; the current one goes on.
   */
  seal(when: 'due' | 'now'): Promise<void>;
  /** Takes over what processes left that died. The files are in `sealed` when it is done. */
  adopt(): Promise<void>;
  /** The files that nobody writes to any more, oldest first; those of dead processes before our own. */
  sealed(): readonly SpooledFile[];
  snapshot(): SpoolSnapshot;
  /**
   * Writes what waits, ends the last file and refuses what comes later; what is in `sealed` then may be drained still. `release` comes last.
   */
  close(): Promise<void>;
  /** Gives the folder up: what was not drained is the next process's to adopt. */
  release(): Promise<void>;
}

export interface SpoolEntry {
  /** One line of JSON. */
  readonly text: string;
  /** What the text refers to, by id: each is written once per file, before the first entry that needs it. */
  readonly parts?: ReadonlyMap<string, () => string>;
  /**
   * The entry waits under this key for one that closes it. Until then each new file begins with it again, so the last file of a process
   * that died has all that was open. Keys hold no line ends.
   */
  readonly opens?: string;
  /** The key of an earlier entry that needs no closing any more. Such an entry is taken even when the spool is full. */
  readonly closes?: string;
}

/** A file that is complete. */
export interface SpooledFile {
  /** Made of the folder and the file's number: the same in every process that ever sees the file. */
  readonly name: string;
  /** That of its process; its files are drained in order. */
  readonly folder: string;
  readonly sizeBytes: number;
  /** What the file holds; the same whenever it is read, until bytes decay on disk. */
  read(): Promise<SpooledContents>;
  /** After this, nobody drains it again. Only for what is committed elsewhere. */
  remove(): Promise<void>;
  /** Keeps something of the file that cannot be used, for a person to look at. Durable when it resolves. */
  quarantine(what: string, bytes: Uint8Array): Promise<void>;
}

export interface SpooledContents {
  readonly parts: ReadonlyMap<string, string>;
  /** The texts, in the order in which they were written. */
  readonly entries: readonly string[];
  /** Texts among `entries` that were opened and never closed; empty unless it is the last file of its process. */
  readonly open: readonly string[];
}

/** How many groups held at most so many entries; the last bucket holds the larger ones. */
export const GROUP_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128] as const;

/** Plain numbers, for logs and metrics. Counters count since this process started. */
export interface SpoolSnapshot {
  /** What is on disk and not drained, adopted files included, and the most that may be. */
  readonly bytes: number;
  readonly maxBytes: number;
  readonly files: number;
  /** Entries of this process that are not drained. */
  readonly entries: number;
  /** When the oldest of what is not drained was written, in milliseconds since 1970; null if there is nothing. */
  readonly oldestAt: number | null;
  readonly appended: number;
  readonly appendedBytes: number;
  /** Groups that were refused because they could not be written. */
  readonly failedGroups: number;
  /** Entries that were refused because the spool was full. */
  readonly refusedFull: number;
  readonly fsyncs: number;
  /** By GROUP_BUCKETS, and one more for what is larger. */
  readonly groupSizes: readonly number[];
  /** Folders that were taken over from processes that died. */
  readonly adopted: number;
  /** Last records that a crash cut off; nobody was told that they are durable. */
  readonly tornTails: number;
  /** Pieces in the quarantine, whoever put them there. */
  readonly quarantined: number;
}

/** An entry was refused, and nothing was written: what is on disk must be drained first. */
export class SpoolFullError extends TransientError {
  constructor(maxBytes: number) {
    super(
      `the spool is full: expected less than ${maxBytes} bytes that are not in the object store yet; is the store down? RATCHET_SPOOL_MAX_BYTES sets the bound`,
    );
  }
}

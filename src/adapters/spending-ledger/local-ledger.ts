import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SpendingLedger } from '../../gateway/limits/ledger';
import { ProcessSpending } from '../../gateway/limits/ledger';
import { describeError } from '../../errors';
import { hasCode } from '../local-store/fs-errors';

export interface LocalLedgerOptions {
  /** Shared by the gateways of this machine. */
  readonly folder: string;
  /** How often it is written and read. @default 250 */
  readonly everyMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Told once when it cannot be kept, and again after it could. */
  readonly onError: (error: string) => void;
}

const FILE = /^[0-9a-f]{16}\.json$/;
const UNFINISHED = /^[0-9a-f]{16}\.tmp$/;
/** The longest window is a day: after it nothing that a file says counts. */
const FORGOTTEN_MS = 25 * 3_600_000;

/**
 * The ledger in a folder on local disk: each process has one file, named at random, and nobody else writes to it. It stays when its process
 * ends, and counts until its windows are over; whoever reads then deletes it.
 *
 * A file is replaced whole. A process that is killed loses what it spent since the last write, at most `everyMs` and the write; a machine that
 * loses its power, what its disk had not written yet. Where the folder cannot be used, limits are kept in memory: live calls go on.
 *
 * @returns once what others have spent is read.
 */
export async function openLocalLedger({
  folder,
  everyMs = 250,
  now = Date.now,
  onError,
}: LocalLedgerOptions): Promise<SpendingLedger> {
  const self = randomBytes(8).toString('hex');
  let files = new Map<string, { readonly mtimeMs: number; readonly spending: ProcessSpending }>();
  let others: ReadonlyMap<string, ProcessSpending> = new Map();
  let unwritten: (() => ProcessSpending) | null = null;
  let isBroken = false;

  const guarded = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      isBroken = false;
    } catch (error) {
      if (!isBroken) onError(describeError(error));
      isBroken = true;
    }
  };
  const write = async (): Promise<void> => {
    const own = unwritten;
    if (own === null) return;
    unwritten = null; // what is spent from here on is for the next time
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(join(folder, `${self}.tmp`), JSON.stringify(own()), { mode: 0o600 });
      await rename(join(folder, `${self}.tmp`), join(folder, `${self}.json`));
    } catch (error) {
      unwritten ??= own; // the agent may spend nothing more for a day, and has spent this
      throw error;
    }
  };
  const read = async (): Promise<void> => {
    const next: typeof files = new Map();
    for (const name of await namesIn(folder)) {
      if (name === `${self}.json` || !(FILE.test(name) || UNFINISHED.test(name))) continue;
      const path = join(folder, name);
      const found = await ifPresent(stat(path));
      if (found === null) continue;
      if (now() - found.mtimeMs > FORGOTTEN_MS) await ifPresent(unlink(path));
      else if (FILE.test(name)) {
        const known = files.get(name);
        const spending =
          known?.mtimeMs === found.mtimeMs ? known.spending : await readSpending(path);
        if (spending !== null) next.set(name, { mtimeMs: found.mtimeMs, spending });
      }
    }
    const isChanged =
      next.size !== files.size ||
      [...next].some(([name, { spending }]) => files.get(name)?.spending !== spending);
    files = next;
    if (isChanged) {
      others = new Map(Array.from(next, ([name, { spending }]) => [name, spending] as const));
    }
  };

  await guarded(read);
  let turn: Promise<void> | null = null;
  const timer = setInterval(() => {
    // On a disk that hangs, turns must not queue up.
    turn ??= guarded(async () => (await write(), read())).finally(() => (turn = null));
  }, everyMs);
  timer.unref();

  return {
    others: () => others,
    publish: (own) => void (unwritten = own),
    async close() {
      clearInterval(timer);
      await turn;
      await guarded(write);
    },
  };
}

async function namesIn(folder: string): Promise<string[]> {
  return (await ifPresent(readdir(folder))) ?? [];
}

/** @returns null for what is no ledger: it counts for nothing, and keeps nobody from being counted. */
async function readSpending(path: string): Promise<ProcessSpending | null> {
  const text = await ifPresent(readFile(path, 'utf8'));
  if (text === null) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null; // cut off by a power failure, before its content reached the disk
  }
  return ProcessSpending.safeParse(json).data ?? null;
}

async function ifPresent<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

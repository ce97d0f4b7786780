import { join } from 'node:path';
import type { SpooledContents } from '../../gateway/recording/spool';
import type { Disk } from './disk';
import type { Stretch } from './frames';
import { scanFrames, scanFramesInTurns } from './frames';
import type { DecodedLog } from './log-file';
import { decodeLog, logName } from './log-file';

export interface ReadLogDeps {
  readonly disk: Disk;
  /** Keeps bytes that are in no whole record. */
  readonly quarantine: (what: string, bytes: Uint8Array) => Promise<void>;
  /** A last record that a crash had cut off was left out. */
  readonly onTorn: () => void;
}

export interface LogPlace {
  readonly folder: string;
  readonly number: number;
  /** Files of the folder that come after it, by number; empty if it is the last one. */
  readonly later: readonly number[];
  /** Where it ends, if this process wrote it; otherwise its successor says so, or it is the last one and ends with its last whole record. */
  readonly sizeBytes: number | null;
}

/**
 * What a file holds. Everything in it that was ever called durable is in the answer or in the quarantine:
 * - bytes behind the end that its successor states are what a failed write left; its entries were written again, or refused;
 * - an unfinished record at the end of the last file was never called durable, and is cut off;
 * - anything else that is not a whole record has decayed: its bytes are quarantined, and reading goes on behind them.
 */
export async function readLog(deps: ReadLogDeps, place: LogPlace): Promise<SpooledContents> {
  const { folder, number, later } = place;
  const path = join(folder, logName(number));
  const end = await endOf(deps.disk, place);
  if (end === 'abandoned') return { parts: new Map(), entries: [], open: [] };

  const all = await deps.disk.read(path);
  const bytes = end === null ? all : all.subarray(0, end);
  const scan = await scanFramesInTurns(bytes);
  for (const stretch of scan.damaged) await keep(deps, bytes, stretch);
  if (scan.torn !== null && end === null) deps.onTorn();
  // Not an unfinished write: the file was longer once.
  if (scan.torn !== null && end !== null) await keep(deps, bytes, scan.torn);
  if (end !== null && bytes.length < end) {
    const text = `bytes ${bytes.length} to ${end} of ${path} are missing\n`;
    await deps.quarantine(`${bytes.length}-${end}-missing`, Buffer.from(text));
  }

  const log = decodeLog(scan.frames, path);
  const open = openEntries(log);
  // A file begins with all that was open in the one before: the writer of both need not look, and others look no further than they must.
  if (place.sizeBytes !== null && later.length > 0) open.clear();
  for (const next of later) {
    if (open.size === 0) break;
    const following = decodeLog(
      scanFrames(await deps.disk.read(join(folder, logName(next)))).frames,
      path,
    );
    for (const { opens, closes } of following.entries) {
      if (opens !== null) open.delete(opens);
      if (closes !== null) open.delete(closes);
    }
  }
  return {
    parts: log.parts,
    entries: log.entries.map(({ text }) => text),
    open: [...open.values()],
  };
}

/**
 * @returns `abandoned` if a later file does not count this one among its predecessors: not one group of it was ever durable. null if nobody
 *   says where it ends.
 */
async function endOf(
  disk: Disk,
  { folder, number, later, sizeBytes }: LogPlace,
): Promise<number | null | 'abandoned'> {
  if (sizeBytes !== null) return sizeBytes;
  for (const next of later) {
    const path = join(folder, logName(next));
    const { head } = decodeLog(
      scanFrames(await disk.read(path, HEAD_LIMIT)).frames.slice(0, 1),
      path,
    );
    if (head === null) continue; // it died before its first group was written
    if (head.previous === null || head.previous.number < number) return 'abandoned';
    if (head.previous.number === number) return head.previous.sizeBytes;
  }
  return null;
}

const HEAD_LIMIT = 4_096;

function openEntries({ entries }: DecodedLog): Map<string, string> {
  const open = new Map<string, string>();
  for (const { opens, closes, text } of entries) {
    if (opens !== null) open.set(opens, text);
    if (closes !== null) open.delete(closes);
  }
  return open;
}

async function keep(
  { quarantine }: ReadLogDeps,
  bytes: Buffer,
  { from, to }: Stretch,
): Promise<void> {
  await quarantine(`${from}-${to}`, bytes.subarray(from, to));
}

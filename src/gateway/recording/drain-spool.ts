import { describeError, IntegrityError, InvalidInputError } from '../../errors';
import { eraseSegment } from '../../erasure/erase-segment';
import { createErasureReader, writeErasure } from '../../erasure/erasures';
import { sha256Hex } from '../../storage/digest';
import type { ObjectStore } from '../../storage/object-store';
import type { LiveSegmentEntry } from '../../schemas/live-hour';
import { listSegments } from '../../trajectories/list-segments';
import { describeStored, hourOfSegment, type HourOfAgent } from '../../trajectories/live-hours';
import { describeSegment } from '../../trajectories/live-segment';
import type { Spool, SpooledFile, SpoolSnapshot } from './spool';
import type { SpooledSegment } from './spooled-segments';
import { toSegments } from './spooled-segments';

/** Something that a person should know. */
export interface DrainLog {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly error?: string;
}

export interface SpoolDrainOptions {
  readonly spool: Spool;
  readonly store: ObjectStore;
  /** How often it looks for what is due. @default 1000 */
  readonly everyMs?: number;
  /** The pause after a failure; it doubles with each one that follows. @default 500 */
  readonly backoffMs?: number;
  /** @default 30 s */
  readonly maxBackoffMs?: number;
  /** How often it looks for folders of processes that died. @default 30 s */
  readonly adoptEveryMs?: number;
  readonly log?: (entry: DrainLog) => void;
}

/** Plain numbers, for logs and metrics. */
export interface DrainSnapshot {
  readonly files: number;
  readonly segments: number;
  readonly decisions: number;
  readonly unresolved: number;
  /** Attempts that failed, and how many of them in a row right now: above 0 the store is down, or the disk is. */
  readonly failures: number;
  readonly failuresInARow: number;
  /** Segments whose key held other bytes, so that they went under another one. */
  readonly conflicts: number;
}

export interface SpoolDrain {
  start(): void;
  snapshot(): DrainSnapshot;
  /** Drains what is sealed and what is due, once. @throws what the store or the disk threw; what was drained until then stays so. */
  drain(): Promise<void>;
  /** Ends the spool and drains what can be within `graceMs`; the next process drains the rest. */
  close(graceMs: number): Promise<void>;
}

interface Listed {
  readonly place: HourOfAgent & { readonly name: string };
  readonly entry: LiveSegmentEntry;
}

function placeOfSegment(key: string): Listed['place'] {
  const place = hourOfSegment(key);
  if (place !== null) return place;
  throw new InvalidInputError('not the key of a live segment', { context: { key } });
}

/** From here on people are told that draining is behind, and again only after it has been below half of it. */
export const BEHIND_AT = 0.5;
const PUTS_AT_A_TIME = 8;

/**
 * Brings the spool into the object store, file by file, oldest first: each becomes one segment per agent and hour under keys that are made of
 * the file's name, put if absent and listed in the manifest of its hour, and is removed once all of them are. So a drain that was killed anywhere is repeated with the
 * same keys and the same bytes, and finds what it wrote.
 *
 * Nothing is given up: while the store is down the spool fills, and the drain tries again ever more slowly.
 */
export function createSpoolDrain({
  spool,
  store,
  everyMs = 1_000,
  backoffMs = 500,
  maxBackoffMs = 30_000,
  adoptEveryMs = 30_000,
  log = () => undefined,
}: SpoolDrainOptions): SpoolDrain {
  const counters = {
    files: 0,
    segments: 0,
    decisions: 0,
    unresolved: 0,
    failures: 0,
    conflicts: 0,
  };
  const erasures = createErasureReader(store);
  let failuresInARow = 0;
  let isBehind = false;
  let isClosing = false;
  let adoptedAt = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> | null = null;

  /** @returns the keys under which it, and what was there before, have to be listed. */
  const put = async ({ key, text, ...held }: SpooledSegment): Promise<Listed[]> => {
    const bytes = new TextEncoder().encode(text);
    const sha256 = sha256Hex(bytes);
    const { committed } = await store.put(key, bytes, { ifAbsent: true, sha256 });
    counters.segments++;
    const ref = { sha256, sizeBytes: bytes.byteLength };
    const listed = (at: string): Listed => {
      const place = placeOfSegment(at);
      return { place, entry: describeSegment(place.name, ref, held) };
    };
    if (committed || sha256Hex((await store.get(key)).bytes) === sha256) return [listed(key)];
    // Part of the file decayed after it was drained once, or another version of Ratchet did that: readers count each decision once.
    counters.conflicts++;
    const other = key.replace(/\.jsonl$/, `-${sha256.slice(0, 16)}.jsonl`);
    log({
      level: 'warn',
      message: `a live segment was drained before with other bytes: ${key}; these go to ${other}`,
    });
    await store.put(other, bytes, { ifAbsent: true, sha256 });
    const place = placeOfSegment(key); // the drain before may have died before it listed it
    const before = await describeStored(store, place);
    return [...(before === null ? [] : [{ place, entry: before }]), listed(other)];
  };

  const drainFile = async (file: SpooledFile): Promise<void> => {
    const quarantined = spool.snapshot().quarantined;
    const before = await erasures.read();
    const { segments, decisions, unresolved, unusable, erased } = await toSegments(
      await file.read(),
      file.name,
      before,
    );
    if (erased.calls > 0) {
      // Of an erased user's sessions other files may hold calls that do not name the user.
      await writeErasure(
        store,
        { trajectories: [...erased.sessions, ...erased.answers] },
        Date.now(),
      );
    }
    if (unusable.length > 0) {
      await file.quarantine(
        'entries',
        new TextEncoder().encode(unusable.map((text) => `${text}\n`).join('')),
      );
    }
    if (spool.snapshot().quarantined > quarantined) {
      log({
        level: 'error',
        message: `part of spool file ${file.name} could not be read: it is in the spool’s quarantine`,
      });
    }
    for (let at = 0; at < segments.length; at += PUTS_AT_A_TIME) {
      const written = await Promise.all(segments.slice(at, at + PUTS_AT_A_TIME).map(put));
      await Promise.all(
        written.flat().map(({ place, entry }) => listSegments(store, place, { add: [entry] })),
      );
    }
    // Whoever erased meanwhile may have looked before these were put.
    const after = await erasures.read();
    if (after.records > before.records) {
      for (const { key } of segments) await eraseSegment(store, key, after);
    }
    await file.remove();
    if (erased.calls > 0) {
      const message = `${erased.calls} live calls of erased sessions were in the spool, and were not kept`;
      log({ level: 'warn', message });
    }
    counters.files++;
    counters.decisions += decisions;
    counters.unresolved += unresolved;
    if (unresolved > 0) {
      log({
        level: 'warn',
        message: `${unresolved} live calls were under way when a gateway died: they are in the store as unresolved`,
      });
    }
  };

  const drainOnce = async (): Promise<void> => {
    const errors: unknown[] = [];
    const attempt = async (step: () => Promise<void>): Promise<void> => {
      await step().catch((error: unknown) => errors.push(error));
    };
    if (!isClosing && performance.now() - adoptedAt >= adoptEveryMs) {
      adoptedAt = performance.now();
      await attempt(() => spool.adopt());
    }
    if (!isClosing) await attempt(() => spool.seal('due'));
    // In any case: on a full disk the steps above fail, and this is what makes room.
    await attempt(drainSealed);

    sayIfBehind();
    failuresInARow = errors.length === 0 ? 0 : failuresInARow + 1;
    if (errors.length === 0) return;
    counters.failures++;
    const message = 'the spool could not be drained; it keeps what it has, and this is tried again';
    log({ level: 'warn', message, error: errors.map(describeError).join('; ') });
    throw errors[0];
  };
  const drainSealed = async (): Promise<void> => {
    const unreadable: { readonly folder: string; readonly error: IntegrityError }[] = [];
    for (const file of spool.sealed()) {
      if (unreadable.some(({ folder }) => folder === file.folder)) continue; // in order, or not at all
      try {
        await drainFile(file);
      } catch (error) {
        // A file that we cannot read holds up its own folder; a store that does not answer, everything.
        if (!(error instanceof IntegrityError)) throw error;
        unreadable.push({ folder: file.folder, error });
      }
    }
    for (const { error } of unreadable) throw error;
  };
  // One at a time: two would put the same segments, and the second would only find them there.
  const drain = (): Promise<void> => {
    underWay ??= drainOnce().finally(() => (underWay = null));
    return underWay;
  };

  const sayIfBehind = (): void => {
    const { bytes, maxBytes } = spool.snapshot();
    const fill = bytes / maxBytes;
    if (!isBehind && fill >= BEHIND_AT) {
      log({
        level: 'warn',
        message: `draining is behind: the spool is ${Math.floor(fill * 100)} % full; at 100 % live calls are answered without being recorded`,
      });
    }
    isBehind = fill >= (isBehind ? BEHIND_AT / 2 : BEHIND_AT);
  };

  const schedule = (): void => {
    if (isClosing) return;
    const pause =
      failuresInARow === 0
        ? everyMs
        : Math.min(maxBackoffMs, backoffMs * 2 ** (failuresInARow - 1));
    // Gateways that lost the same store do not all come back at the same moment.
    timer = setTimeout(run, pause * (failuresInARow === 0 ? 1 : 0.75 + Math.random() / 2));
    timer.unref();
  };
  const run = (): void => void drain().then(schedule, schedule);

  return {
    start: run,
    drain,
    snapshot: () => ({ ...counters, failuresInARow }),
    async close(graceMs) {
      const deadline = new Promise((resolve) => setTimeout(resolve, graceMs).unref());
      isClosing = true;
      clearTimeout(timer);
      await spool.close();
      const rest = async (): Promise<void> => {
        await underWay?.catch(() => undefined); // said already
        await drain().catch(() => undefined); // the same; the next process drains it
      };
      await Promise.race([rest(), deadline]);
      await spool.release();
    },
  };
}

export type SpoolState = 'ok' | 'behind' | 'full';

/** In one word: draining is behind from half full on; when it is full, live calls are answered without being recorded. */
export function spoolState({ bytes, maxBytes }: SpoolSnapshot): SpoolState {
  if (bytes >= maxBytes) return 'full';
  return bytes >= BEHIND_AT * maxBytes ? 'behind' : 'ok';
}

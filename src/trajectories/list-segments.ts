import { setTimeout as sleep } from 'node:timers/promises';
import { IntegrityError, TransientError } from '../errors';
import { LiveHour, type LiveSegmentEntry } from '../schemas/live-hour';
import { encodeJsonLine, parseJson } from '../storage/json-objects';
import { liveHourKey } from '../storage/keys';
import { getIfPresent } from '../storage/object-ref';
import type { ObjectStore, StoredObject } from '../storage/object-store';
import { deriveHour, type HourOfAgent } from './live-hours';

export interface HourChange {
  /** Segments that are there. One that is listed under the same name already is replaced. */
  readonly add?: readonly LiveSegmentEntry[];
  /** Names of segments that are about to go. */
  readonly remove?: readonly string[];
}

/** Of swaps against other gateways, each of which swaps once in some seconds. */
const ATTEMPTS = 20;

/**
 * Changes what the manifest of an hour lists, by swap. Segments are put first, listed then, and what they were made of is given up last; they
 * are taken off the list first and deleted then. So after a crash at any line a repeat of the whole reaches the same end, and no reader is
 * sent to a segment that is not there.
 *
 * An hour that has no manifest, or a damaged one, gets one of all that lies there.
 *
 * @throws {TransientError} if others swap all the time; call again.
 */
export async function listSegments(
  store: ObjectStore,
  place: HourOfAgent,
  { add = [], remove = [] }: HourChange,
): Promise<void> {
  const { agent, day, hour } = place;
  const key = liveHourKey(agent, day, hour);
  const added = new Map(add.map((entry) => [entry.name, entry]));
  const removed = new Set(remove);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const stored = await getIfPresent(store, key);
    const before = stored === null ? null : segmentsIn(stored, key);
    const entries = new Map(
      (before ?? (await deriveHour(store, place, added))).map((entry) => [entry.name, entry]),
    );
    for (const [name, entry] of added) entries.set(name, entry);
    for (const name of removed) entries.delete(name);
    const segments = [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const text = encodeJsonLine({
      formatVersion: 1,
      agent,
      day,
      hour,
      segments,
    } satisfies LiveHour);
    const bytes = new TextEncoder().encode(text);
    if (stored !== null && Buffer.compare(stored.bytes, bytes) === 0) return;
    const condition = stored === null ? { ifAbsent: true as const } : { ifMatch: stored.etag };
    if ((await store.put(key, bytes, condition)).committed) return;
    await sleep(Math.random() * 10 * attempt);
  }
  throw new TransientError('the manifest of an hour is swapped by others all the time', {
    context: { key, attempts: ATTEMPTS },
  });
}

/** null if it is damaged: all that it said is in the segments. */
function segmentsIn(stored: StoredObject, key: string): readonly LiveSegmentEntry[] | null {
  try {
    return parseJson(stored.bytes, LiveHour, key).segments;
  } catch (error) {
    if (error instanceof IntegrityError) return null;
    throw error;
  }
}

import { NotFoundError } from '../errors';
import { LiveHour, type LiveSegmentEntry } from '../schemas/live-hour';
import { refOf } from '../storage/object-ref';
import { parseJson } from '../storage/json-objects';
import { liveHourFolder, liveHourKey, livePrefix } from '../storage/keys';
import { getIfPresent } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import { describeSegment, readLiveSegment } from './live-segment';
import { dayOf, HOUR_MS, hourOf, type TimeRange } from './time-range';

/** One agent's hour (UTC) that has live segments. */
export interface HourOfAgent {
  readonly agent: string;
  readonly day: string;
  readonly hour: number;
}

/**
 * The hours of a range in which an agent has live segments, in order. One small listing per hour, however many segments it has: each asks
 * for the first key behind the hour before.
 */
export async function* hoursWithin(
  store: ObjectStore,
  agent: string,
  { fromMs, toMs }: TimeRange,
): AsyncGenerator<HourOfAgent> {
  const prefix = livePrefix(agent);
  const first = Math.floor(fromMs / HOUR_MS) * HOUR_MS;
  // No name in a folder sorts before the folder itself, and none in an hour behind its `~`.
  let after = liveHourFolder(agent, dayOf(first), hourOf(first)).slice(0, -1);
  for (;;) {
    const key = await firstKey(store, prefix, after);
    const place =
      key === null ? null : /^(\d{4}-\d\d-\d\d)\/(\d\d)\//.exec(key.slice(prefix.length));
    if (place === null) return;
    const [, day = '', hour = ''] = place;
    if (Date.parse(`${day}T${hour}:00:00.000Z`) >= toMs) return;
    yield { agent, day, hour: Number(hour) };
    after = `${prefix}${day}/${hour}/${BEHIND_ALL}`;
  }
}

/** Behind every name that a segment can have: `z` is the last letter of keys, and no segment's name is as long. */
const BEHIND_ALL = 'z'.repeat(120);

async function firstKey(store: ObjectStore, prefix: string, after: string): Promise<string | null> {
  for await (const { key } of store.list(prefix, { after, limit: 1 })) return key;
  return null;
}

/**
 * The segments of an hour: as its manifest lists them, or where it has none (a version wrote it that kept no manifests) as they lie there,
 * each read to see what is in it.
 *
 * @throws {IntegrityError} if the manifest or a segment is damaged.
 */
export async function segmentsOf(
  store: ObjectStore,
  place: HourOfAgent,
): Promise<readonly LiveSegmentEntry[]> {
  const manifest = await readHour(store, place);
  return manifest === null ? deriveHour(store, place) : manifest.segments;
}

async function readHour(
  store: ObjectStore,
  { agent, day, hour }: HourOfAgent,
): Promise<LiveHour | null> {
  const key = liveHourKey(agent, day, hour);
  const stored = await getIfPresent(store, key);
  return stored === null ? null : parseJson(stored.bytes, LiveHour, key);
}

/** What the manifest of an hour has to say, from the segments themselves. */
export async function deriveHour(
  store: ObjectStore,
  { agent, day, hour }: HourOfAgent,
): Promise<LiveSegmentEntry[]> {
  const folder = liveHourFolder(agent, day, hour);
  const segments: LiveSegmentEntry[] = [];
  for await (const { key } of store.list(folder)) {
    try {
      const ref = refOf(key, (await store.get(key)).bytes);
      segments.push(
        describeSegment(key.slice(folder.length), ref, await readLiveSegment(store, ref)),
      );
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error; // else it was erased since it was listed
    }
  }
  return segments;
}

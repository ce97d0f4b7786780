import { IntegrityError } from '../errors';
import { LiveHour, type LiveSegmentEntry } from '../schemas/live-hour';
import { LiveLine } from '../schemas/live-line';
import { parseJson, parseJsonLines } from '../storage/json-objects';
import { liveHourFolder, liveHourKey, liveHoursPrefix, livePrefix } from '../storage/keys';
import { getIfPresent, refOf } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import { describeSegment, toLiveSegment } from './live-segment';
import { dayOf, HOUR_MS, hourOf, type TimeRange } from './time-range';

/** One agent's hour (UTC) that has live segments. */
export interface HourOfAgent {
  readonly agent: string;
  readonly day: string;
  readonly hour: number;
}

/**
 * The hours of a range in which an agent has live segments, in order: those that have a manifest, and those in which segments lie. One small
 * listing per hour, however many segments it has: each asks for the first key behind the hour before.
 */
export async function* hoursWithin(
  store: ObjectStore,
  agent: string,
  range: TimeRange,
): AsyncGenerator<HourOfAgent> {
  const listed: HourOfAgent[] = [];
  const { fromMs, toMs } = range;
  const first = Math.floor(fromMs / HOUR_MS) * HOUR_MS;
  const before = liveHourKey(agent, dayOf(first), hourOf(first)).slice(0, -'.json'.length);
  for await (const { key } of store.list(liveHoursPrefix(agent), { after: before })) {
    const hour = hourIn(key.slice(liveHoursPrefix(agent).length), agent);
    if (hour === null) continue;
    if (startOfHour(hour) >= toMs) break;
    listed.push(hour);
  }
  for await (const hour of hoursOfSegments(store, agent, range)) {
    while (listed[0] !== undefined && startOfHour(listed[0]) <= startOfHour(hour)) {
      const next = listed.shift() as HourOfAgent;
      if (startOfHour(next) < startOfHour(hour)) yield next;
    }
    yield hour;
  }
  yield* listed;
}

/** In milliseconds since 1970. */
export function startOfHour({ day, hour }: Pick<HourOfAgent, 'day' | 'hour'>): number {
  return Date.parse(`${day}T00:00:00.000Z`) + hour * HOUR_MS;
}

async function* hoursOfSegments(
  store: ObjectStore,
  agent: string,
  { fromMs, toMs }: TimeRange,
): AsyncGenerator<HourOfAgent> {
  const prefix = livePrefix(agent);
  const first = Math.floor(fromMs / HOUR_MS) * HOUR_MS;
  // No name in a folder sorts before the folder itself.
  let after = liveHourFolder(agent, dayOf(first), hourOf(first)).slice(0, -1);
  for (;;) {
    const key = await firstKey(store, prefix, after);
    const hour = key === null ? null : hourIn(key.slice(prefix.length), agent);
    if (hour === null || startOfHour(hour) >= toMs) return;
    yield hour;
    after = `${liveHourFolder(agent, hour.day, hour.hour)}${BEHIND_ALL}`;
  }
}

/** @param rest of a key: `<day>/<hour>` and what follows. */
function hourIn(rest: string, agent: string): HourOfAgent | null {
  const [, day, hour] = /^(\d{4}-\d\d-\d\d)\/(\d\d)[./]/.exec(rest) ?? [];
  return day === undefined ? null : { agent, day, hour: Number(hour) };
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
 * @throws {IntegrityError} if the manifest is damaged.
 */
export async function segmentsOf(
  store: ObjectStore,
  place: HourOfAgent,
): Promise<readonly LiveSegmentEntry[]> {
  const manifest = await readLiveHour(store, place);
  return manifest === null ? deriveHour(store, place) : manifest.segments;
}

/** null if the hour has no manifest. @throws {IntegrityError} if it is damaged. */
export async function readLiveHour(
  store: ObjectStore,
  { agent, day, hour }: HourOfAgent,
): Promise<LiveHour | null> {
  const key = liveHourKey(agent, day, hour);
  const stored = await getIfPresent(store, key);
  return stored === null ? null : parseJson(stored.bytes, LiveHour, key);
}

/** The key of a segment that an hour lists. */
export function segmentKeyOf(
  { agent, day, hour }: HourOfAgent,
  { name }: Pick<LiveSegmentEntry, 'name'>,
): string {
  return `${liveHourFolder(agent, day, hour)}${name}`;
}

/** The hour that a segment lies in; null if it is the key of none. */
export function hourOfSegment(key: string): (HourOfAgent & { readonly name: string }) | null {
  const match = /^v1\/live\/([^/]+)\/([^/]+)\/(\d\d)\/([^/]+)$/.exec(key);
  if (match === null) return null;
  const [, agent = '', day = '', hour = '', name = ''] = match;
  return { agent, day, hour: Number(hour), name };
}

/** @param known what is known of segments already: those are not read. */
export async function deriveHour(
  store: ObjectStore,
  place: HourOfAgent,
  known: ReadonlyMap<string, LiveSegmentEntry> = new Map(),
): Promise<LiveSegmentEntry[]> {
  const folder = liveHourFolder(place.agent, place.day, place.hour);
  const segments: LiveSegmentEntry[] = [];
  for await (const { key } of store.list(folder)) {
    const name = key.slice(folder.length);
    const entry = known.get(name) ?? (await describeStored(store, { ...place, name }));
    if (entry !== null) segments.push(entry);
  }
  return segments;
}

/**
 * What the manifest has to say of a segment that lies in the store; null if it lies there no more. Of a damaged one it says that it may hold
 * anything of its hour: whoever reads the hour opens it, and is told what is wrong with it.
 */
export async function describeStored(
  store: ObjectStore,
  place: HourOfAgent & { readonly name: string },
): Promise<LiveSegmentEntry | null> {
  const { name } = place;
  const key = segmentKeyOf(place, place);
  const stored = await getIfPresent(store, key);
  if (stored === null) return null;
  const ref = refOf(key, stored.bytes);
  try {
    const segment = toLiveSegment(parseJsonLines(stored.bytes, LiveLine, key), key);
    const decisions = segment.decisions.map(({ decision }) => decision);
    return describeSegment(name, ref, { decisions, unresolved: segment.unresolved });
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    const start = startOfHour(place);
    return {
      ...{ name, sha256: ref.sha256, sizeBytes: ref.sizeBytes, decisions: 0, unresolved: 0 },
      firstAt: new Date(start).toISOString(),
      lastAt: new Date(start + HOUR_MS - 1).toISOString(),
      ...{ models: null, upstreams: null, policies: null },
    };
  }
}

import { liveHourFolder, liveHourKey, quarantinePrefix, rewardsPrefix } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import { listSegments } from '../trajectories/list-segments';
import {
  hoursWithin,
  readLiveHour,
  startOfHour,
  type HourOfAgent,
} from '../trajectories/live-hours';
import { listLiveAgents } from '../trajectories/reindex';
import { dayOf, HOUR_MS } from '../trajectories/time-range';

export interface RetainOptions {
  /** How old live calls and feedback may get; null keeps them for ever. */
  readonly liveMs: number | null;
  readonly feedbackMs: number | null;
  readonly nowMs: number;
  /** Changes nothing, and counts what would go. */
  readonly isDryRun: boolean;
}

/** Numbers of objects that went. */
export interface RetainReport {
  readonly segments: number;
  readonly hours: number;
  readonly feedback: number;
  readonly quarantined: number;
}

const DAY_MS = 86_400_000;

/**
 * Takes away what is too old: live calls by whole hours, feedback by whole days, and what was put into quarantine of either. A call that is
 * drained later than that goes with the next time.
 *
 * Of an hour its manifest is emptied first, then its segments go, then the manifest; so no reader is sent to what is gone, and after a crash at any
 * line the same again goes on.
 */
export async function retain(
  store: ObjectStore,
  { liveMs, feedbackMs, nowMs, isDryRun }: RetainOptions,
): Promise<RetainReport> {
  const report = { segments: 0, hours: 0, feedback: 0, quarantined: 0 };
  const remove = async (key: string): Promise<void> => {
    if (!isDryRun) await store.delete(key);
  };
  if (liveMs !== null) {
    const before = Math.floor((nowMs - liveMs) / HOUR_MS) * HOUR_MS;
    for (const agent of await listLiveAgents(store)) {
      const hours: HourOfAgent[] = [];
      const range = { fromMs: 0, toMs: Math.max(0, before) };
      for await (const hour of hoursWithin(store, agent, range)) hours.push(hour);
      for (const hour of hours) {
        report.segments += await removeHour(store, hour, isDryRun);
        report.hours += 1;
      }
    }
    report.quarantined += await quarantinedBefore(
      store,
      /live\/[^/]+\/([^/]+)\/(\d\d)\//,
      before,
      remove,
    );
  }
  if (feedbackMs !== null) {
    const before = Math.floor((nowMs - feedbackMs) / DAY_MS) * DAY_MS;
    const end = rewardsPrefix(dayOf(Math.max(0, before)));
    const keys: string[] = [];
    for await (const { key } of store.list(rewardsPrefix())) {
      if (key >= end) break;
      keys.push(key);
    }
    for (const key of keys) await remove(key);
    report.feedback = keys.length;
    report.quarantined += await quarantinedBefore(store, /rewards\/([^/]+)\//, before, remove);
  }
  return report;
}

async function removeHour(
  store: ObjectStore,
  hour: HourOfAgent,
  isDryRun: boolean,
): Promise<number> {
  const folder = liveHourFolder(hour.agent, hour.day, hour.hour);
  const names: string[] = [];
  for await (const { key } of store.list(folder)) names.push(key.slice(folder.length));
  if (isDryRun) return names.length;
  const key = liveHourKey(hour.agent, hour.day, hour.hour);
  const isListed = (await store.head(key)) !== null;
  if (isListed) {
    // Of segments that are listed and gone, too: that was damage, and is none any more.
    const listed = (await readLiveHour(store, hour))?.segments ?? [];
    await listSegments(store, hour, { remove: [...names, ...listed.map(({ name }) => name)] });
  }
  for (const name of names) await store.delete(`${folder}${name}`);
  // A segment that came meanwhile is found by listing where there is no manifest.
  if (isListed) await store.delete(key);
  return names.length;
}

/** @param place in the key of what was put aside: its day, and its hour where it has one. */
async function quarantinedBefore(
  store: ObjectStore,
  place: RegExp,
  beforeMs: number,
  remove: (key: string) => Promise<void>,
): Promise<number> {
  const keys: string[] = [];
  for await (const { key } of store.list(quarantinePrefix())) {
    const [, day, hour] = new RegExp(`^v1/quarantine/${place.source}`).exec(key) ?? [];
    if (day === undefined) continue;
    if (startOfHour({ day, hour: Number(hour ?? 0) }) < beforeMs) keys.push(key);
  }
  for (const key of keys) await remove(key);
  return keys.filter((key) => key.endsWith('.bin')).length;
}

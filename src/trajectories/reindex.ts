import { IntegrityError } from '../errors';
import type { LiveSegmentEntry } from '../schemas/live-hour';
import { liveHourFolder, livesPrefix } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import { listSegments } from './list-segments';
import { describeStored, hoursWithin, readLiveHour, type HourOfAgent } from './live-hours';

/** The agents of which there are live calls, in order. One small listing each. */
export async function listLiveAgents(store: ObjectStore): Promise<string[]> {
  const agents: string[] = [];
  const prefix = livesPrefix();
  for (let after = prefix; ;) {
    let agent: string | null = null;
    for await (const { key } of store.list(prefix, { after, limit: 1 })) {
      agent = key.slice(prefix.length).split('/')[0] ?? null;
    }
    if (agent === null) return agents;
    agents.push(agent);
    after = `${prefix}${agent}/~`; // behind every day
  }
}

export interface Reindexed {
  readonly hours: number;
  /** Segments that their hours did not list. */
  readonly added: number;
}

/**
 * Makes the manifests of an agent's hours list all segments that lie there, for segments whose gateway can do it no more: its disk is lost, or
 * a version wrote them that kept no manifests. Segments that are listed and gone stay listed: that is damage, and `ratchet store verify` says so.
 */
export async function reindexAgent(store: ObjectStore, agent: string): Promise<Reindexed> {
  let [hours, added] = [0, 0];
  const always = { fromMs: 0, toMs: Date.UTC(9999, 0) };
  for await (const hour of hoursWithin(store, agent, always)) {
    const missing = await unlistedIn(store, hour);
    if (missing === null || missing.length > 0)
      await listSegments(store, hour, { add: missing ?? [] });
    hours += 1;
    added += missing?.length ?? 0;
  }
  return { hours, added };
}

/** null where there is no manifest that can be read: it is to be made anew. */
async function unlistedIn(
  store: ObjectStore,
  hour: HourOfAgent,
): Promise<LiveSegmentEntry[] | null> {
  const manifest = await readLiveHour(store, hour).catch((error: unknown) => {
    if (error instanceof IntegrityError) return null;
    throw error;
  });
  if (manifest === null) return null;
  const listed = new Set(manifest.segments.map(({ name }) => name));
  const folder = liveHourFolder(hour.agent, hour.day, hour.hour);
  const unlisted: LiveSegmentEntry[] = [];
  for await (const { key } of store.list(folder)) {
    const name = key.slice(folder.length);
    const entry = listed.has(name) ? null : await describeStored(store, { ...hour, name });
    if (entry !== null) unlisted.push(entry);
  }
  return unlisted;
}

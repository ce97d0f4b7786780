import { IntegrityError } from '../errors';
import { FeedbackRecord } from '../schemas/feedback';
import { sha256Hex } from '../storage/digest';
import { encodeJsonLine, parseJsonLines } from '../storage/json-objects';
import { livesPrefix, quarantinePrefix, rewardsKey, rewardsPrefix } from '../storage/keys';
import { getIfPresent } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import { listLiveAgents } from '../trajectories/reindex';
import { createErasureReader, writeErasure, type Erasures } from './erasures';
import { eraseSegment } from './erase-segment';
import { findTraces, type Target } from './find-traces';
import { findTeaching, type Teaching } from './trained-on';

export interface EraseReport {
  readonly sessions: number;
  readonly calls: number;
  readonly feedback: number;
  /** Damaged pieces in quarantine that named it, and are gone. */
  readonly quarantined: number;
  /** Damaged pieces of live calls in quarantine that do not name it: nobody can say whose they are. */
  readonly unattributed: number;
  readonly teaching: Teaching;
  /** What could not be read, and so may hold something still. */
  readonly unreadable: ReadonlyMap<string, string>;
}

export interface EraseOptions {
  /** Whose live calls are looked through; all agents' when left out. */
  readonly agents?: readonly string[];
  readonly nowMs: number;
  /** Called once it is written down what is erased: from then on nothing of it is kept any more. */
  readonly onWritten?: () => Promise<void>;
}

/**
 * Erases sessions, and all sessions of users, from what was recorded of live traffic. First it is written down that they are erased, which
 * whoever drains a spool or takes feedback heeds; then everything is taken out that is there. So what is late finds it written down, and what
 * was early is found. A crash anywhere leaves some of it; the same again takes the rest, also by what an earlier try wrote down.
 */
export async function erase(
  store: ObjectStore,
  target: Target,
  { agents, nowMs, onWritten = async () => undefined }: EraseOptions,
): Promise<EraseReport> {
  const whose = agents ?? (await listLiveAgents(store));
  const { sessions, answers, unreadable } = await findTraces(store, whose, target);
  const trajectories = [...sessions, ...answers];
  await writeErasure(store, { trajectories, users: target.users }, nowMs);
  await onWritten();

  const erasures = await createErasureReader(store).read();
  const calls = await eraseLive(store, erasures, unreadable);
  const feedback = await eraseFeedback(store, erasures, unreadable);
  const pieces = await eraseQuarantined(store, [...trajectories, ...target.users]);
  const teaching = await findTeaching(store, { sessions, users: target.users });
  return { sessions: sessions.size, calls, feedback, ...pieces, teaching, unreadable };
}

/** Takes everything that is erased out of the live segments. @returns how many calls that were. */
async function eraseLive(
  store: ObjectStore,
  erasures: Erasures,
  unreadable: Map<string, string>,
): Promise<number> {
  const keys: string[] = [];
  for await (const { key } of store.list(livesPrefix())) keys.push(key); // before any is replaced
  let calls = 0;
  for (const key of keys) {
    calls += await orUnreadable(unreadable, key, () => eraseSegment(store, key, erasures));
  }
  return calls;
}

/** The same for feedback. A segment of several records is put anew without those before it is deleted. */
async function eraseFeedback(
  store: ObjectStore,
  erasures: Erasures,
  unreadable: Map<string, string>,
): Promise<number> {
  let count = 0;
  const keys: string[] = [];
  for await (const { key } of store.list(rewardsPrefix())) keys.push(key);
  for (const key of keys) {
    count += await orUnreadable(unreadable, key, async () => {
      const stored = await getIfPresent(store, key);
      if (stored === null) return 0;
      const all = parseJsonLines(stored.bytes, FeedbackRecord, key);
      const kept = all.filter(({ trajectory }) => !erasures.hasTrajectory(trajectory));
      if (kept.length === all.length) return 0;
      if (kept.length > 0) {
        const bytes = new TextEncoder().encode(kept.map(encodeJsonLine).join(''));
        const day = /^v1\/rewards\/([^/]+)\//.exec(key)?.[1] ?? '';
        await store.put(rewardsKey(day, sha256Hex(bytes)), bytes, { ifAbsent: true });
      }
      await store.delete(key);
      return all.length - kept.length;
    });
  }
  return count;
}

/** Damaged bytes cannot be cut: what names it goes as a whole. */
async function eraseQuarantined(
  store: ObjectStore,
  names: readonly string[],
): Promise<{ readonly quarantined: number; readonly unattributed: number }> {
  const needles = names.map((name) => JSON.stringify(name).slice(1, -1));
  let [quarantined, unattributed] = [0, 0];
  for (const kind of ['live', 'rewards']) {
    const keys: string[] = [];
    for await (const { key } of store.list(`${quarantinePrefix()}${kind}/`)) keys.push(key);
    for (const key of keys.filter((one) => one.endsWith('.bin'))) {
      const stored = await getIfPresent(store, key);
      if (stored === null) continue;
      const text = Buffer.from(stored.bytes).toString();
      if (!needles.some((needle) => text.includes(needle))) {
        unattributed += 1;
        continue;
      }
      await store.delete(key);
      await store.delete(key.replace(/\.bin$/, '.json'));
      quarantined += 1;
    }
  }
  return { quarantined, unattributed };
}

async function orUnreadable(
  unreadable: Map<string, string>,
  key: string,
  work: () => Promise<number>,
): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    unreadable.set(key, error.message);
    return 0;
  }
}

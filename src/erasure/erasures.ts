import { ErasureRecord } from '../schemas/erasure';
import { canonicalJson } from '../storage/canonical-json';
import { sha256Hex } from '../storage/digest';
import { parseJson } from '../storage/json-objects';
import { erasureKey, erasuresPrefix } from '../storage/keys';
import { getIfPresent } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';

/** Everything that was erased so far. */
export interface Erasures {
  readonly isEmpty: boolean;
  /** How many records say so: more than before means that something was erased since. */
  readonly records: number;
  /** @param name of a session, or of what stands in its place (`answers/<agent>/<id>`). */
  hasTrajectory(name: string): boolean;
  /** @param user a pseudonym. */
  hasUser(user: string | undefined): boolean;
}

/** Records never change, so each is read once; what there is, is listed every time: an erasure holds from the moment it is written. */
export interface ErasureReader {
  /** @throws {IntegrityError} if a record is damaged: what must not be written is not known then. */
  read(): Promise<Erasures>;
}

export const NO_ERASURES: Erasures = {
  ...{ isEmpty: true, records: 0 },
  hasTrajectory: () => false,
  hasUser: () => false,
};

export function createErasureReader(store: ObjectStore): ErasureReader {
  const known = new Set<string>();
  const trajectories = new Set<string>();
  const users = new Set<string>();
  return {
    async read() {
      for await (const { key } of store.list(erasuresPrefix())) {
        if (known.has(key)) continue;
        const stored = await getIfPresent(store, key);
        if (stored === null) continue;
        const record = parseJson(stored.bytes, ErasureRecord, key);
        for (const trajectory of record.trajectories) trajectories.add(trajectory);
        for (const user of record.users) users.add(user);
        known.add(key);
      }
      if (known.size === 0) return NO_ERASURES;
      return {
        ...{ isEmpty: false, records: known.size },
        hasTrajectory: (name) => trajectories.has(sha256Hex(name)),
        hasUser: (user) => user !== undefined && users.has(user),
      };
    },
  };
}

/** What is to be erased. */
export interface Erased {
  /** Names, not hashes. */
  readonly trajectories: Iterable<string>;
  readonly users?: Iterable<string>;
}

/**
 * Writes down that something is erased; what is known already is not said again, so a repeat writes nothing.
 *
 * @returns whether anything was new.
 */
export async function writeErasure(
  store: ObjectStore,
  { trajectories, users = [] }: Erased,
  nowMs: number,
): Promise<boolean> {
  const known = await createErasureReader(store).read();
  const record: ErasureRecord = {
    formatVersion: 1,
    at: new Date(nowMs).toISOString(),
    trajectories: [...new Set(trajectories)]
      .filter((name) => !known.hasTrajectory(name))
      .map((name) => sha256Hex(name))
      .sort(),
    users: [...new Set(users)].filter((user) => !known.hasUser(user)).sort(),
  };
  if (record.trajectories.length + record.users.length === 0) return false;
  const text = canonicalJson(record);
  await store.put(erasureKey(sha256Hex(text)), new TextEncoder().encode(text), { ifAbsent: true });
  return true;
}

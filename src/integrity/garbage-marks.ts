import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { readJsonLines, writeJsonLines } from '../storage/json-objects';
import { gcMarkKey, gcMarksPrefix } from '../storage/keys';
import type { Etag, ObjectStore } from '../storage/object-store';

const Mark = z.strictObject({
  key: z.string().min(1),
  etag: z.string(),
  /** When a collection first found this version to be garbage. */
  since: z.iso.datetime(),
});
type Mark = z.infer<typeof Mark>;

/**
 * Since when each piece of garbage is garbage. Objects have no age of their own: clocks of writers differ, and a copy of a store makes every
 * file new. So a collection writes down what it found, and a later one removes only what was garbage then and has been ever since.
 */
export interface GarbageMarks {
  /** Milliseconds since 1970; null for a version that no earlier collection has seen as garbage. */
  since(version: ObjectVersion): number | null;
}

export interface ObjectVersion {
  readonly key: string;
  readonly etag: Etag;
}

export async function readMarks(store: ObjectStore, nowMs: number): Promise<GarbageMarks> {
  const known = new Map<string, number>();
  const id = ({ key, etag }: ObjectVersion): string => `${key}\n${etag}`;
  for await (const { key } of store.list(gcMarksPrefix())) {
    for (const mark of await readMarkFile(store, key)) {
      // A time to come was written by a clock that went wrong: nothing is garbage for longer than from now on.
      const since = Math.min(Date.parse(mark.since), nowMs);
      known.set(id(mark), Math.min(known.get(id(mark)) ?? since, since));
    }
  }
  return { since: (version) => known.get(id(version)) ?? null };
}

/** @throws {IntegrityError} if it is damaged. */
export function readMarkFile(store: ObjectStore, key: string): Promise<readonly Mark[]> {
  return readJsonLines(store, key, Mark);
}

/** Replaces all marks. After a crash: the old ones, or both; the earliest time counts. */
export async function writeMarks(
  store: ObjectStore,
  garbage: readonly (ObjectVersion & { readonly since: number })[],
): Promise<void> {
  const before: string[] = [];
  for await (const { key } of store.list(gcMarksPrefix())) before.push(key);
  await writeJsonLines(
    store,
    gcMarkKey(randomUUID()),
    garbage.map(({ key, etag, since }): Mark => ({
      ...{ key, etag },
      since: new Date(since).toISOString(),
    })),
  );
  for (const key of before) await store.delete(key);
}

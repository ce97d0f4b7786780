import type { PausedKind } from '../schemas/pause';
import { Pause } from '../schemas/pause';
import { canonicalJson } from './canonical-json';
import { parseJson } from './json-objects';
import { pauseKey, pausesPrefix } from './keys';
import { getIfPresent } from './object-ref';
import type { ObjectStore } from './object-store';

/** Pauses it, or says another reason. After a crash: paused, or as before. */
export async function writePause(store: ObjectStore, pause: Pause): Promise<void> {
  const bytes = new TextEncoder().encode(canonicalJson(Pause.parse(pause)));
  await store.put(pauseKey(pause.kind, pause.name), bytes);
}

/** @returns whether it was paused. */
export async function removePause(
  store: ObjectStore,
  kind: PausedKind,
  name: string,
): Promise<boolean> {
  const key = pauseKey(kind, name);
  const wasPaused = (await store.head(key)) !== null;
  await store.delete(key);
  return wasPaused;
}

/** @throws {IntegrityError} if one is not of its format. */
export async function readPauses(store: ObjectStore): Promise<readonly Pause[]> {
  const pauses: Pause[] = [];
  for await (const { key } of store.list(pausesPrefix())) {
    const stored = await getIfPresent(store, key);
    if (stored !== null) pauses.push(parseJson(stored.bytes, Pause, key)); // else resumed meanwhile
  }
  return pauses;
}

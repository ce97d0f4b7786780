/** When keys were last used, as far as it was written down: seldom, by any number of gateways. */
export interface KeyUseStore {
  /** Milliseconds since 1970, by the key's id. */
  read(): Promise<ReadonlyMap<string, number>>;
  /** Keeps the latest time. */
  write(id: string, atMs: number): Promise<void>;
}

/** How old what is shown may be while a key is in use. */
export const WRITE_EVERY_MS = 60_000;

/**
 * @returns a function that notes that a key was used. It returns at once: a call waits for nothing here, and of all the uses within a
 *   minute one is written. What cannot be written fails nobody's call either; `onFailed` hears of it, at most once a minute per key.
 */
export function createKeyUse(
  store: KeyUseStore,
  onFailed: (error: unknown) => void,
): (id: string, nowMs: number) => void {
  // As many entries as there are keys: ids get here once they were verified.
  const writtenAt = new Map<string, number>();
  return (id, nowMs) => {
    const before = writtenAt.get(id);
    if (before !== undefined && nowMs - before < WRITE_EVERY_MS) return;
    writtenAt.set(id, nowMs);
    store.write(id, nowMs).catch(onFailed);
  };
}

import type { ObjectStore } from '../../src/storage/object-store';

export interface MortalStore extends ObjectStore {
  /** As `kill -9` of the process that uses this view, for the store: what it asks for from now on is never done. */
  die(): void;
  readonly isDead: () => boolean;
}

/** One process's view of a store that outlives it. */
export function mortalStore(store: ObjectStore): MortalStore {
  let dead = false;
  const mortal =
    <A extends unknown[], R>(act: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (dead) throw new Error('the process died');
      return act(...args);
    };
  return {
    get: mortal((key) => store.get(key)),
    getStream: (key, range) => store.getStream(key, range),
    head: mortal((key) => store.head(key)),
    put: mortal((key, body, options) => store.put(key, body, options)),
    list: (prefix, options) => store.list(prefix, options),
    delete: mortal((key) => store.delete(key)),
    die: () => void (dead = true),
    isDead: () => dead,
  };
}

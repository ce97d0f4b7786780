import { InvalidInputError } from '../errors';
import type { Digest } from '../schemas/ids';

export interface LoadedCheckpointsSpec<Model> {
  /** Kept in memory at once, beside those that are still in use. */
  readonly maxLoaded: number;
  readonly load: (checkpoint: Digest) => Promise<Model>;
  readonly release: (model: Model) => Promise<void>;
}

/** Checkpoints in memory: what is not there is loaded, once for all who ask, and the least recently used go first. */
export interface LoadedCheckpoints<Model> {
  /** The model stays as long as `use` takes, also if it has to make room meanwhile. */
  with<T>(checkpoint: Digest, use: (model: Model) => Promise<T>): Promise<T>;
  /** Resolves when all are released; those in use are when they are no more. */
  close(): Promise<void>;
}

/** A checkpoint in memory. It is released when it was evicted and the last one that uses it is done. */
interface Loaded<Model> {
  readonly model: Promise<Model>;
  users: number;
  isEvicted: boolean;
}

/** @throws {InvalidInputError} if `maxLoaded` is not a positive integer. */
export function createLoadedCheckpoints<Model>({
  maxLoaded,
  load,
  release,
}: LoadedCheckpointsSpec<Model>): LoadedCheckpoints<Model> {
  if (!Number.isInteger(maxLoaded) || maxLoaded < 1) {
    throw new InvalidInputError('maxLoaded: expected a positive integer', {
      context: { got: maxLoaded },
    });
  }
  const loaded = new Map<Digest, Loaded<Model>>(); // in the order of use: the first is the least recently used
  let isClosed = false;

  async function evict(entry: Loaded<Model>): Promise<void> {
    entry.isEvicted = true;
    if (entry.users > 0) return;
    const model = await entry.model.catch(() => null); // a failed load told its callers, and holds nothing
    if (model !== null) await release(model);
  }

  function acquire(checkpoint: Digest): Loaded<Model> {
    if (isClosed) throw new InvalidInputError('the policy server is closed');
    let entry = loaded.get(checkpoint);
    if (entry === undefined) {
      const fresh: Loaded<Model> = { model: load(checkpoint), users: 0, isEvicted: false };
      // What failed is tried again by the next call; the callers of this one see the error.
      fresh.model.catch(() => loaded.get(checkpoint) === fresh && loaded.delete(checkpoint));
      entry = fresh;
    }
    entry.users++;
    loaded.delete(checkpoint);
    loaded.set(checkpoint, entry);
    for (const [digest, oldest] of loaded) {
      if (loaded.size <= maxLoaded) break;
      loaded.delete(digest);
      void evict(oldest);
    }
    return entry;
  }

  return {
    async with(checkpoint, use) {
      const entry = acquire(checkpoint);
      try {
        return await use(await entry.model);
      } finally {
        entry.users--;
        if (entry.isEvicted) await evict(entry);
      }
    },
    async close() {
      isClosed = true;
      const entries = [...loaded.values()];
      loaded.clear();
      await Promise.all(entries.map(evict));
    },
  };
}

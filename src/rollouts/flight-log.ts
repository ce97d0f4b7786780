import { z } from 'zod';
import { NotFoundError } from '../errors';
import { parseJson } from '../storage/json-objects';
import { runStateKey } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';

/** How often a rollout may end its process while it runs there alone: once may be an accident from outside. */
const DEATHS_ALONE = 2;

const FlightMark = z.strictObject({
  formatVersion: z.literal(1),
  /** Whether nothing else ran in the process. */
  alone: z.boolean(),
  /** Names of the rollouts under way. */
  rollouts: z.array(z.string()),
});
type FlightMark = z.infer<typeof FlightMark>;

/** What earlier executions of a batch were running when they died. */
export interface Casualties {
  /** Whether there were any. */
  readonly found: boolean;
  /** Rollouts that were under way when a process died, those that were alone then last. */
  readonly suspects: readonly string[];
  /** Rollouts that ended their process, alone, too often; with how often. */
  readonly poisoned: ReadonlyMap<string, number>;
}

/**
 * Says durably what is under way, so that the one who goes on after a crash knows what may have caused it. A batch is
 * told apart by `batch`, its executions by `writer`; a mark that is still there is of an execution that did not end in order.
 */
export interface FlightLog {
  /** Of the executions before this one. */
  readonly casualties: Casualties;
  /** Resolves once the store says that the rollout is under way; those that enter together share one write. */
  enter(rollout: string): Promise<void>;
  leave(rollout: string): void;
  /** Resolves once the store says that this rollout is under way and nothing else. */
  enterAlone(rollout: string): Promise<void>;
  /** Resolves once the store says that nothing is under way. */
  rest(): Promise<void>;
  /** This execution ends in order: it leaves no mark. */
  close(): Promise<void>;
  /** The batch is done: nobody's marks are needed any more, those of its casualties included. */
  clear(): Promise<void>;
}

export interface FlightPlace {
  readonly run: string;
  readonly iteration: number;
  /** Names the batch in whichever execution, as part of a key. */
  readonly batch: string;
  /** Unique to this execution, as part of a key; holds no dot. */
  readonly writer: string;
}

/**
 * Marks are `…/state/flight-<batch>.<writer>.<n>.bin`, each written whole before the one before it is deleted: whatever a
 * crash leaves of a writer, its mark with the highest number says what was under way. An execution that was only taken for
 * dead looks the same; it costs its rollouts a run alone, and nothing more.
 */
export async function openFlightLog(store: ObjectStore, place: FlightPlace): Promise<FlightLog> {
  const keyOf = (name: string): string =>
    runStateKey(place.run, place.iteration, `flight-${place.batch}.${name}`);
  const prefix = keyOf('x').slice(0, -'x.bin'.length);
  const found = await readMarks(store, prefix);

  const current = new Set<string>();
  let written = 0;
  let newest: string | null = null;
  let waiters: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  let writing: Promise<void> | null = null;

  const mark = async (alone: boolean): Promise<void> => {
    const content: FlightMark = { formatVersion: 1, alone, rollouts: [...current] };
    const key = keyOf(`${place.writer}.${String(written++).padStart(8, '0')}`);
    await store.put(key, Buffer.from(JSON.stringify(content)), { ifAbsent: true });
    const before = newest;
    newest = key;
    if (before !== null) await store.delete(before);
  };
  const writeAll = async (): Promise<void> => {
    while (waiters.length > 0) {
      const served = waiters;
      waiters = [];
      try {
        await mark(false);
        for (const { resolve } of served) resolve();
      } catch (error) {
        for (const { reject } of served) reject(error);
      }
    }
    writing = null;
  };

  return {
    casualties: countCasualties(found),
    enter(rollout) {
      current.add(rollout);
      return new Promise((resolve, reject) => {
        waiters.push({ resolve, reject });
        writing ??= writeAll();
      });
    },
    leave: (rollout) => void current.delete(rollout),
    async enterAlone(rollout) {
      await writing;
      current.clear();
      current.add(rollout);
      await mark(true);
    },
    async rest() {
      await writing;
      current.clear();
      if (newest !== null) await mark(false);
    },
    async close() {
      await writing;
      const last = newest;
      newest = null;
      try {
        if (last !== null) await store.delete(last);
      } catch {
        // What ended this execution is said already; a mark that stays costs its rollouts a run alone.
      }
    },
    async clear() {
      await writing;
      if (found.length === 0 && written === 0) return;
      for await (const { key } of store.list(prefix)) await store.delete(key);
      newest = null;
    },
  };
}

/** The last mark of each writer. */
async function readMarks(store: ObjectStore, prefix: string): Promise<FlightMark[]> {
  const last = new Map<string, string>();
  for await (const { key } of store.list(prefix)) {
    last.set(key.slice(prefix.length).split('.')[0] ?? '', key); // in byte order: the highest number stays
  }
  const marks: FlightMark[] = [];
  for (const key of last.values()) {
    try {
      const { bytes } = await store.get(key);
      marks.push(parseJson(bytes, FlightMark, key));
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error; // its writer lives, and has just ended in order
    }
  }
  return marks;
}

function countCasualties(marks: readonly FlightMark[]): Casualties {
  const deathsAlone = new Map<string, number>();
  for (const { alone, rollouts } of marks) {
    for (const rollout of rollouts)
      deathsAlone.set(rollout, (deathsAlone.get(rollout) ?? 0) + (alone ? 1 : 0));
  }
  const all = [...deathsAlone];
  return {
    found: marks.length > 0,
    suspects: all
      .filter(([, deaths]) => deaths < DEATHS_ALONE)
      .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1))
      .map(([rollout]) => rollout),
    poisoned: new Map(all.filter(([, deaths]) => deaths >= DEATHS_ALONE)),
  };
}

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { ConflictError } from '../errors';
import { canonicalJson } from '../storage/canonical-json';
import { gcStateKey } from '../storage/keys';
import type { Etag, ObjectStore } from '../storage/object-store';
import { DEAD_AFTER_MS, type GcState, readGcState } from '../storage/sweep';

/** That this process, and no other, collects garbage; see storage/sweep.ts for what writers make of it. */
export interface CollectorState {
  /** Tells writers that content is being removed, or that it is not any more. */
  enter(phase: GcState['phase']): Promise<void>;
  /** @throws {ConflictError} if writers may take us for dead: nothing may be removed any more. */
  assertAlive(): void;
  release(): Promise<void>;
  /** After a failure. Where something may have been removed it leaves the state as it is: to everyone else this process has died. */
  abandon(): Promise<void>;
}

export interface CollectorOptions {
  readonly now?: () => number;
  readonly deadAfterMs?: number;
  /** Called now and then while it waits to see whether another collection is dead. */
  readonly onWaiting?: () => void;
}

/**
 * @throws {ConflictError} if another collection runs. One that died is noticed by its state, which stays the same for `deadAfterMs`.
 */
export async function becomeCollector(
  store: ObjectStore,
  { now = Date.now, deadAfterMs = DEAD_AFTER_MS, onWaiting }: CollectorOptions = {},
): Promise<CollectorState> {
  const key = gcStateKey();
  let state: GcState = {
    ...{ formatVersion: 1, id: randomUUID(), phase: 'marking', beat: 0 },
    by: `${hostname()}, process ${process.pid}`,
    startedAt: new Date(now()).toISOString(),
  };
  const encode = (): Uint8Array => new TextEncoder().encode(canonicalJson(state));
  let etag = await take(store, encode(), deadAfterMs, onWaiting);
  let mayHaveRemoved = false;
  let lastBeat = performance.now();
  let lost: ConflictError | null = null;

  const isLost = (): ConflictError =>
    (lost ??= new ConflictError(
      'this garbage collection was taken for dead, and stops: expected its state as it left it; run it again',
      { context: { key } },
    ));
  let writing: Promise<void> = Promise.resolve();
  const write = (change: Partial<GcState>): Promise<void> => {
    writing = writing.then(async () => {
      if (lost !== null) throw lost;
      const at = performance.now();
      state = { ...state, ...change, beat: state.beat + 1 };
      const outcome = await store.put(key, encode(), { ifMatch: etag });
      if (outcome.committed) etag = outcome.etag;
      else {
        // The answer of an earlier write may have been lost on the way: then the state is our own.
        const found = await readGcState(store);
        if (found === null || found.state.id !== state.id) throw isLost();
        etag = found.etag;
        const again = await store.put(key, encode(), { ifMatch: etag });
        if (!again.committed) throw isLost();
        etag = again.etag;
      }
      lastBeat = at;
    });
    return writing;
  };
  const timer = setInterval(() => {
    // A beat that fails is missed: `assertAlive` notices when it is one too many.
    write({}).catch(() => (writing = Promise.resolve()));
  }, deadAfterMs / 12);
  timer.unref();

  const release = async (): Promise<void> => {
    clearInterval(timer);
    await writing.catch(() => undefined); // whatever became of it, we are done
    if (lost === null) await store.delete(key);
  };
  return {
    enter: (phase) => write({ phase }),
    assertAlive() {
      mayHaveRemoved = true;
      if (lost !== null) throw lost;
      if (performance.now() - lastBeat > deadAfterMs / 3) throw isLost();
    },
    async abandon() {
      clearInterval(timer);
      // The failure that made us give up is the one that counts: a state that stays is waited for.
      if (!mayHaveRemoved) await release().catch(() => undefined);
    },
    release,
  };
}

async function take(
  store: ObjectStore,
  bytes: Uint8Array,
  deadAfterMs: number,
  onWaiting?: () => void,
): Promise<Etag> {
  const key = gcStateKey();
  const first = await store.put(key, bytes, { ifAbsent: true });
  if (first.committed) return first.etag;
  const found = await readGcState(store);
  if (found === null) return take(store, bytes, deadAfterMs, onWaiting); // it has just ended
  const until = performance.now() + deadAfterMs;
  while (performance.now() < until) {
    const head = await store.head(key);
    if (head === null) return take(store, bytes, deadAfterMs, onWaiting);
    if (head.etag !== found.etag) {
      throw new ConflictError(
        `another garbage collection is running: expected none, got one of ${found.state.by}, since ${found.state.startedAt}; wait for it`,
        { context: { key } },
      );
    }
    onWaiting?.();
    await delay(Math.min(1_000, deadAfterMs / 10));
  }
  const second = await store.put(key, bytes, { ifMatch: found.etag });
  if (second.committed) return second.etag;
  throw new ConflictError('another garbage collection was faster; wait for it', {
    context: { key },
  });
}

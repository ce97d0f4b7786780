import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { canonicalJson } from './canonical-json';
import { parseJson } from './json-objects';
import { claimKey, gcStateKey } from './keys';
import { getIfPresent } from './object-ref';
import type { Etag, ObjectStore } from './object-store';

/*
 * Content has a name before it is written: a checkpoint that a garbage collection is about to remove may be exactly the one that a retry is
 * about to commit, which finds its files in place and writes none of them. So that the two never miss each other:
 *
 *     writer    1. put a claim: "I rely on this"     2. wait until nobody sweeps       3. write the content, then the record that names it
 *     sweeper   1. say "I sweep"                     2. read all claims, then records  3. remove what none of them names, say "done"
 *
 * If the writer's 1 came before the sweeper's 2, the sweeper sees the claim and spares the content. Otherwise the sweeper's 1 came before
 * the writer's 2, which waits until the sweep is over and then writes what is gone. (Dekker's algorithm, by a store that reads its writes.)
 */

export const GcState = z.strictObject({
  formatVersion: z.literal(1),
  id: z.string().min(1),
  phase: z.enum(['marking', 'sweeping']),
  /** Goes up while it lives: a state that stays as it is belongs to a dead process. */
  beat: z.int().min(0),
  by: z.string(),
  startedAt: z.iso.datetime(),
});
export type GcState = z.infer<typeof GcState>;

/** A collector that has not renewed its state for so long is dead; it stops by itself after a third of it. */
export const DEAD_AFTER_MS = 60_000;

const POLL_MS = 250;

export interface Patience {
  /** By this process's own clock, which no one sets back. */
  readonly deadAfterMs?: number;
  readonly pollMs?: number;
}

export async function readGcState(
  store: ObjectStore,
): Promise<{ readonly state: GcState; readonly etag: Etag } | null> {
  const key = gcStateKey();
  const stored = await getIfPresent(store, key);
  return stored === null
    ? null
    : { state: parseJson(stored.bytes, GcState, key), etag: stored.etag };
}

/** Resolves when nobody sweeps, or who does is dead: what a dead one was about to remove, it removes no more. */
export async function untilNobodySweeps(
  store: ObjectStore,
  { deadAfterMs = DEAD_AFTER_MS, pollMs = POLL_MS }: Patience = {},
): Promise<void> {
  let seen: Etag | null = null;
  let since = 0;
  for (;;) {
    const found = await readGcState(store);
    if (found === null || found.state.phase !== 'sweeping') return;
    const now = performance.now();
    if (found.etag !== seen) {
      seen = found.etag;
      since = now;
    } else if (now - since > deadAfterMs) return;
    await delay(pollMs);
  }
}

export const Claim = z.strictObject({
  formatVersion: z.literal(1),
  /** The run that works on it; null for what belongs to none. */
  run: z.string().nullable(),
  /** Keys, and folders with their slash. */
  holds: z.array(z.string().min(1)).min(1),
});
export type Claim = z.infer<typeof Claim>;

/**
 * Commits content that may lie in the store already, and the record that names it, safe from a garbage collection that runs meanwhile. A
 * claim that a crash left behind only keeps what it holds, until a later collection finds that its run has ended.
 *
 * @param holds keys of objects, and folders with their slash: all that `work` relies on and that its record will name.
 * @param work writes the content and then the record.
 */
export async function withClaim<T>(
  store: ObjectStore,
  { run, holds }: Pick<Claim, 'run' | 'holds'>,
  work: () => Promise<T>,
  patience?: Patience,
): Promise<T> {
  const key = claimKey(randomUUID());
  const claim: Claim = { formatVersion: 1, run, holds };
  await store.put(key, new TextEncoder().encode(canonicalJson(claim)), { ifAbsent: true });
  await untilNobodySweeps(store, patience);
  const result = await work();
  try {
    await store.delete(key);
  } catch {
    // The work is done: a claim that stays behind keeps what it holds for a while longer, and harms nobody.
  }
  return result;
}

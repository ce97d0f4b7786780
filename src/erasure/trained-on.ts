import { IntegrityError, NotFoundError } from '../errors';
import { readBatch, readSegment } from '../rollouts/segment-reader';
import type { Digest } from '../schemas/ids';
import type { ObjectRef } from '../schemas/object-ref';
import { runsPrefix } from '../storage/keys';
import { placeOf } from '../storage/layout';
import type { ObjectStore } from '../storage/object-store';
import { readIterationRecord } from '../storage/run-records';
import type { Target } from './find-traces';

export interface Teaching {
  /** Checkpoints that were trained on it, by what made them. */
  readonly trained: readonly { readonly checkpoint: Digest; readonly run: string }[];
  /** Checkpoints that come from those: what was learned may be in them still. */
  readonly descendants: readonly Digest[];
  /** Runs whose batches hold it: rolled out, scored, or trained on. */
  readonly runs: readonly string[];
  /** Batches that could not be read: nobody can say what was in them. */
  readonly unreadable: readonly string[];
}

/** What learned from something that is to be erased. Nothing of it is changed: a checkpoint cannot be made to forget. */
export async function findTeaching(store: ObjectStore, target: Target): Promise<Teaching> {
  const trained = new Map<Digest, string>();
  const children = new Map<Digest, Digest[]>();
  const runs = new Set<string>();
  const unreadable = new Set<string>();
  const asked = new Map<string, boolean>();

  const holds = async (batch: ObjectRef): Promise<boolean> => {
    const known = asked.get(batch.key);
    if (known !== undefined) return known;
    let isThere = false;
    try {
      for (const ref of (await readBatch(store, batch)).segments) {
        for (const { id, decisions } of (await readSegment(store, ref)).trajectories) {
          const isOfUser = decisions.some(
            ({ user }) => user !== undefined && target.users.has(user),
          );
          isThere ||= isOfUser || target.sessions.has(id);
        }
      }
    } catch (error) {
      // Garbage collection takes a dropped run's batches; its records stay.
      if (!(error instanceof NotFoundError || error instanceof IntegrityError)) throw error;
      unreadable.add(batch.key);
    }
    asked.set(batch.key, isThere);
    return isThere;
  };

  for await (const { key } of store.list(runsPrefix())) {
    if (placeOf(key).kind !== 'record') continue;
    const record = await readIterationRecord(store, key);
    if (record.kind === 'created') continue;
    let isMeant = false;
    for (const batch of record.batches) isMeant = (await holds(batch)) || isMeant;
    if (isMeant) runs.add(record.run);
    if (record.kind !== 'trained') continue;
    if (isMeant) trained.set(record.checkpoint, record.run);
    children.set(record.parent, [...(children.get(record.parent) ?? []), record.checkpoint]);
  }
  const descendants = new Set<Digest>();
  const pending = [...trained.keys()];
  for (let digest = pending.pop(); digest !== undefined; digest = pending.pop()) {
    for (const child of children.get(digest) ?? []) {
      if (trained.has(child) || descendants.has(child)) continue;
      descendants.add(child);
      pending.push(child);
    }
  }
  return {
    trained: Array.from(trained, ([checkpoint, run]) => ({ checkpoint, run })),
    descendants: [...descendants],
    runs: [...runs].sort(),
    unreadable: [...unreadable].sort(),
  };
}

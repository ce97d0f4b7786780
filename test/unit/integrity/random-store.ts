import { z } from 'zod';
import type { RandomStream } from '../../../src/rl/counter-rng';
import type { BatchManifest } from '../../../src/rollouts/batch-manifest';
import type { Digest } from '../../../src/schemas/ids';
import type { ObjectRef } from '../../../src/schemas/object-ref';
import { TrainConfig } from '../../../src/schemas/train-config';
import { putBlob } from '../../../src/storage/blobs';
import { canonicalJson } from '../../../src/storage/canonical-json';
import { writeCheckpoint } from '../../../src/storage/checkpoints';
import { writeDataset } from '../../../src/storage/datasets';
import { digestOfJson } from '../../../src/storage/digest';
import { writeEvaluation, writeJsonLines } from '../../../src/storage/json-objects';
import { runSegmentKey, runStateKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createRouting, swapRouting, writePromotionRecord } from '../../../src/storage/routing';
import {
  writeEvidence,
  writeIterationRecord,
  writeRunRecord,
} from '../../../src/storage/run-records';
import { runConfig } from '../../helpers/small-iteration';

export interface RandomStore {
  /** Everything that a collection must leave alone, by what the generator meant: nothing of it is computed from the store. */
  readonly keep: ReadonlySet<string>;
  /** Everything else. */
  readonly garbage: ReadonlySet<string>;
  readonly openWorkflowIds: ReadonlySet<string>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const uuid = (n: number): string => `00000000-0000-0000-0000-${String(n).padStart(12, '0')}`;
export const AT = '2026-11-24T08:00:00.000Z';

/** A store as runs, retries, crashes and promotions may leave it. */
export async function randomStore(store: ObjectStore, random: RandomStream): Promise<RandomStore> {
  const keep = new Set<string>();
  const openWorkflowIds = new Set<string>();
  const chance = (share: number): boolean => random.next() < share;
  const upTo = (n: number): number => random.below(n + 1);

  /** Runs a writer; what it wrote is to be kept, or is garbage until something names it. */
  const written = async <T>(write: () => Promise<T>): Promise<{ value: T; keys: string[] }> => {
    const before = await keysOf(store);
    const value = await write();
    const keys = [...(await keysOf(store))].filter((key) => !before.has(key));
    return { value, keys };
  };
  const kept = async <T>(write: () => Promise<T>): Promise<T> => {
    const { value, keys } = await written(write);
    for (const key of keys) keep.add(key);
    return value;
  };

  const dataset = await kept(() =>
    writeDataset(store, 'desk', {
      files: new Map([['tasks.jsonl', bytes('tasks')]]),
      metadata: {},
    }),
  );
  if (chance(0.5)) {
    // A registration that died before its manifest.
    await store.put(`v1/datasets/desk/${'ab'.repeat(32)}/tasks.jsonl`, bytes('half'));
  }

  /** By digest: its keys and what it was trained from. */
  const checkpoints = new Map<Digest, { keys: string[]; parent: Digest | null }>();
  const keepLineage = (digest: Digest | null): void => {
    for (let at = digest; at !== null; at = checkpoints.get(at)?.parent ?? null)
      for (const key of checkpoints.get(at)?.keys ?? []) keep.add(key);
  };
  let contents = 0;
  const checkpointFrom = async (
    parent: Digest | null,
  ): Promise<{ digest: Digest; replay: ObjectRef }> => {
    contents += 1;
    const blob = await written(() => putBlob(store, bytes(`replay ${contents}`)));
    const state = { parent, replay: blob.value.sha256, dataset };
    const { value: digest, keys } = await written(() =>
      writeCheckpoint(store, {
        files: new Map([
          ['model.safetensors', bytes(`model ${contents}`)],
          ['training_state.json', bytes(canonicalJson(state))],
        ]),
        metadata: { kind: 'choice' },
      }),
    );
    checkpoints.set(digest, { keys: [...keys, ...blob.keys], parent });
    return { digest, replay: blob.value };
  };

  const runs = 1 + upTo(3);
  for (let r = 0; r < runs; r += 1) {
    const workflowId = `desk-${r}`;
    const run = `${workflowId}.${uuid(r)}`;
    const isOpen = chance(0.3);
    if (isOpen) openWorkflowIds.add(workflowId);
    const orphan = async (key: string): Promise<void> => {
      await store.put(key, bytes(`orphan ${key}`));
      if (isOpen) keep.add(key); // whether it will be named, only its workflow knows
    };
    if (chance(0.9)) {
      await kept(() =>
        writeRunRecord(store, {
          ...{ formatVersion: 1, kind: 'training', run, workflowId, policy: 'support' },
          ...{ dataset: { name: 'desk', digest: dataset }, config: runConfig, openedAt: AT },
        }),
      );
    }
    const batch = async (iteration: number, name: string): Promise<ObjectRef> => {
      const segments: ObjectRef[] = [];
      for (let s = 0; s <= upTo(2); s += 1) {
        const key = runSegmentKey(run, iteration, 'trajectories', `${name}-${s}`);
        segments.push(await writeJsonLines(store, key, [{ segment: key }]));
      }
      const manifest: BatchManifest = {
        ...{ formatVersion: 1, checkpoint: dataset, segments, rollouts: 1 },
        ...{ outcomes: {}, drops: {} },
      };
      const key = runSegmentKey(run, iteration, 'trajectories', `${name}-batch`);
      return writeJsonLines(store, key, [manifest]);
    };
    const rewards = (iteration: number, name: string): Promise<ObjectRef> => {
      const key = runSegmentKey(run, iteration, 'rewards', name);
      return writeJsonLines(store, key, [{ rewards: key }]);
    };
    const scored = async (iteration: number, name: string): Promise<[ObjectRef, ObjectRef]> => {
      const one = await batch(iteration, name);
      const two = await rewards(iteration, name);
      await writeIterationRecord(store, {
        ...{ formatVersion: 1, kind: 'scored', run, iteration, at: AT },
        ...{ dataset: { name: 'desk', digest: dataset }, batches: [one], rewards: two },
        ...{ weights: {}, reward: null, metrics: {}, rollouts: 1, outcomes: {}, drops: {} },
      });
      return [one, two];
    };

    let { digest: parent } = await checkpointFrom(null);
    if (chance(0.8)) {
      keepLineage(parent);
      await kept(() =>
        writeIterationRecord(store, {
          ...{ formatVersion: 1, kind: 'created', run, iteration: 0, at: AT, policy: 'support' },
          ...{ dataset: { name: 'desk', digest: dataset }, checkpoint: parent, seed: r },
        }),
      );
    }
    let before: ObjectRef | null = null;
    const trainedHere: Digest[] = [];
    for (let iteration = 0; iteration <= upTo(3); iteration += 1) {
      if (chance(0.3)) await orphan(runSegmentKey(run, iteration, 'trajectories', 'dead-0'));
      if (chance(0.3)) await orphan(runSegmentKey(run, iteration, 'rewards', 'dead'));
      if (chance(0.3)) await orphan(runStateKey(run, iteration, 'dead-0'));
      const [one, two] = await kept(() => scored(iteration, `a${iteration}`));
      if (chance(0.2)) await kept(() => scored(iteration, `b${iteration}`)); // run again after too many drops
      const { digest, replay } = await checkpointFrom(parent);
      if (chance(0.15)) break; // it died between the checkpoint and its record
      await kept(() =>
        writeIterationRecord(store, {
          ...{ formatVersion: 1, kind: 'trained', run, iteration, at: AT, policy: 'support' },
          ...{ dataset, parent, checkpoint: digest, batches: [one], rewards: two },
          ...{ replay: { before, after: replay }, weights: {}, seed: r },
          ...{ optimizerSteps: 1, examples: 1, metrics: {} },
          train: TrainConfig.parse({ algorithm: 'reinforce' }),
        }),
      );
      keepLineage(digest);
      trainedHere.push(digest);
      parent = digest;
      before = replay;
    }

    const candidate = trainedHere.at(-1);
    if (candidate !== undefined && chance(0.6)) {
      const evaluation = { formatVersion: 1, baseline: trainedHere[0], candidate, run };
      const evaluationRun = `${workflowId}.gate-1.${uuid(r)}`;
      const armOf = async (checkpoint: Digest, iteration: number) => ({
        ...{ checkpoint, rollouts: 1, drops: {} },
        batches: [
          await writeJsonLines(
            store,
            runSegmentKey(evaluationRun, iteration, 'trajectories', 'batch'),
            [
              {
                ...{ formatVersion: 1, checkpoint, segments: [], rollouts: 0 },
                ...{ outcomes: {}, drops: {} },
              },
            ],
          ),
        ],
        rewards: await writeJsonLines(
          store,
          runSegmentKey(evaluationRun, iteration, 'rewards', 'r'),
          [],
        ),
      });
      await kept(async () => {
        await writeEvidence(store, {
          ...{ formatVersion: 1, evaluation: digestOfJson(evaluation) },
          baseline: await armOf(trainedHere[0] as Digest, 0),
          candidate: await armOf(candidate, 1),
        });
        await writeEvaluation(store, evaluation);
      });
    }
    if (candidate !== undefined && chance(0.5)) await promote(candidate, `p-${r}`);
  }

  async function promote(champion: Digest, promotionId: string): Promise<void> {
    keepLineage(champion);
    const base = {
      formatVersion: 1,
      candidate: null,
      basisPoints: 0,
      salt: 's',
      leaseUntil: null,
    } as const;
    const policy = `policy-${promotionId}`;
    await kept(async () => {
      const first = { ...base, generation: 1, champion, previous: null, promotionId: null };
      const created = await createRouting(store, policy, first);
      if (!created.committed || chance(0.5)) return;
      const id = { generation: 2, promotionId };
      const record = { kind: 'promoted', champion, previous: champion };
      await writePromotionRecord(store, policy, id, record, z.any());
      await swapRouting(store, policy, created.etag, {
        ...{ ...base, ...id, champion, previous: champion },
      });
    });
  }

  // What no run knows of: blobs and checkpoints of crashes, a directory without its manifest, keys of others.
  for (let n = 0; n <= upTo(3); n += 1) await putBlob(store, bytes(`lost ${n}`));
  if (chance(0.7)) await checkpointFrom(null);
  if (chance(0.5))
    await store.put(`v1/checkpoints/${'cd'.repeat(32)}/model.safetensors`, bytes('half'));
  await kept(() => store.put('v1/live/desk/2026-11-24/08/one.jsonl', bytes('{}\n')));
  await kept(() => store.put('v1/rewards/2026-11-24/one.jsonl', bytes('{}\n')));
  await kept(() => store.put('v1/somebody/elses', bytes('?')));

  const garbage = new Set([...(await keysOf(store))].filter((key) => !keep.has(key)));
  return { keep, garbage, openWorkflowIds };
}

export async function keysOf(store: ObjectStore): Promise<Set<string>> {
  const keys = new Set<string>();
  for await (const { key } of store.list('')) keys.add(key);
  return keys;
}

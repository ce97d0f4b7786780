import { sumCounts } from '../src/loop/drops';
import type { ObjectRef } from '../src/schemas/object-ref';
import type {
  RollOutInput,
  RollOutResult,
  ScoreResult,
  TaskSelection,
} from '../src/schemas/stages';
import type { ActivityProxies } from './activity-proxies';
import type { Attention } from './attention';

export interface Batch {
  readonly batches: readonly ObjectRef[];
  readonly rollouts: number;
  readonly drops: Readonly<Record<string, number>>;
  /** How often it was begun so far, earlier goes included: the number of the next go. */
  readonly goes: number;
}

export type BatchRequest = Omit<RollOutInput, 'shard' | 'shards'>;

/** The part of a selection that a shard takes: contiguous, and the parts' sizes differ by one at most. */
function shardOf(selection: TaskSelection, shard: number, shards: number): TaskSelection {
  const start = Math.floor((selection.count * shard) / shards);
  const end = Math.floor((selection.count * (shard + 1)) / shards);
  return { ...selection, from: selection.from + start, count: end - start };
}

/**
 * Rolls a batch out, shard by shard side by side: the number of history events depends on the shards, never on the
 * number of rollouts. Shards that succeeded are kept when another one needs attention.
 */
export async function rollOutBatch(
  { rollout }: ActivityProxies,
  { attend }: Attention,
  request: BatchRequest,
  label: string,
): Promise<Batch> {
  const shards = Math.min(request.rollouts.shards, request.selection.count);
  const results = new Array<RollOutResult | undefined>(shards).fill(undefined);
  let go = request.go ?? 0; // a person's retries of the whole batch, and then of its shards
  await attend(`rollouts of ${label}`, async () => {
    const again = go === 0 ? {} : { go };
    go += 1;
    const settled = await Promise.allSettled(
      results.map(async (done, shard) => {
        if (done !== undefined) return;
        const selection = shardOf(request.selection, shard, shards);
        results[shard] = await rollout.rollOut.executeWithOptions(
          { summary: `${label}: ${selection.count} tasks, shard ${shard + 1} of ${shards}` },
          [{ ...request, ...again, selection, shard, shards }],
        );
      }),
    );
    const failed = settled.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  });
  const done = results.filter((one) => one !== undefined);
  return {
    batches: done.map((one) => one.batch),
    rollouts: done.reduce((sum, one) => sum + one.rollouts, 0),
    drops: sumCounts(done.map((one) => one.drops)),
    goes: go,
  };
}

export async function scoreBatch(
  { rollout }: ActivityProxies,
  { attend }: Attention,
  request: BatchRequest,
  batch: Batch,
  weights: Readonly<Record<string, number>>,
  label: string,
): Promise<ScoreResult> {
  return attend(`scoring of ${label}`, () =>
    rollout.score.executeWithOptions({ summary: `${label}: score ${batch.rollouts} rollouts` }, [
      {
        run: request.run,
        iteration: request.iteration,
        dataset: request.dataset,
        datasetName: request.datasetName,
        batches: [...batch.batches],
        weights: { ...weights },
      },
    ]),
  );
}

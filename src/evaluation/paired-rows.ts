import { IntegrityError } from '../errors';
import type { GateRow } from '../loop/gate';
import { readSegments } from '../rollouts/segment-reader';
import type { ObjectRef } from '../schemas/object-ref';
import { RewardRecord } from '../schemas/reward';
import type { Reference } from '../schemas/task';
import { indexRewards } from '../scoring/reward-index';
import { readJsonLines } from '../storage/json-objects';
import type { ObjectStore } from '../storage/object-store';

/** One arm of an evaluation, as its rollouts and scores were committed. */
export interface EvaluatedArm {
  readonly batches: readonly ObjectRef[];
  readonly rewards: ObjectRef;
}

/** metric -> task -> the mean of the task's repeats */
type Means = ReadonlyMap<string, ReadonlyMap<string, number>>;

/**
 * What the gate judges: for each metric the tasks that both arms were scored on, each averaged over its repeats. A task
 * that one arm lost to infrastructure is in neither: an unpaired result would compare different tasks.
 */
export async function pairedRows(
  store: ObjectStore,
  references: ReadonlyMap<string, Reference>,
  metrics: readonly string[],
  champion: EvaluatedArm,
  candidate: EvaluatedArm,
): Promise<GateRow[]> {
  const before = await taskMeans(store, metrics, champion);
  const after = await taskMeans(store, metrics, candidate);
  return metrics.flatMap((metric) =>
    [...(before.get(metric) ?? [])].flatMap(([taskId, value]): GateRow[] => {
      const other = after.get(metric)?.get(taskId);
      if (other === undefined) return [];
      const reference = references.get(taskId);
      if (reference === undefined) {
        throw new IntegrityError('an evaluated task has no reference in its dataset', {
          context: { task: taskId },
        });
      }
      return [
        {
          metric,
          taskId,
          cluster: reference.family,
          slice: reference.slice,
          champion: value,
          candidate: other,
        },
      ];
    }),
  );
}

async function taskMeans(
  store: ObjectStore,
  metrics: readonly string[],
  { batches, rewards }: EvaluatedArm,
): Promise<Means> {
  const scores = indexRewards(await readJsonLines(store, rewards, RewardRecord));
  const sums = new Map(
    metrics.map((metric) => [metric, new Map<string, { sum: number; n: number }>()]),
  );
  for await (const segment of readSegments(store, batches)) {
    for (const trajectory of segment.trajectories) {
      if (trajectory.task === null) continue;
      for (const [metric, byTask] of sums) {
        const value = scores.get(trajectory.id)?.get(metric);
        if (value === undefined) continue; // the scorer does not apply to this task, or infrastructure took the rollout
        const { sum, n } = byTask.get(trajectory.task) ?? { sum: 0, n: 0 };
        byTask.set(trajectory.task, { sum: sum + value, n: n + 1 });
      }
    }
  }
  return new Map(
    [...sums].map(([metric, byTask]) => [
      metric,
      new Map([...byTask].map(([task, { sum, n }]) => [task, sum / n])),
    ]),
  );
}

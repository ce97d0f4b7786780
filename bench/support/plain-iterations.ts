import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { RunConfig } from '../../src/schemas/run-config';
import type { Digest } from '../../src/schemas/ids';
import type { ObjectRef } from '../../src/schemas/object-ref';
import type { ScoreResult, TaskSelection } from '../../src/schemas/stages';
import { compose, type Composition } from '../../workers/compose';
import { readEnvironment } from '../../workers/env';
import type { StageInterval } from './stage-times';

/**
 * The iterations of a training run in one plain process: the very activities that the workers run, called one after the other (shards side
 * by side), without a server, a workflow or a queue. Told by messages of its parent; see overhead.ts.
 */
export interface PlainOrder {
  /** A RunConfig. */
  readonly config: unknown;
  readonly iterations: number;
  readonly run: string;
}

export interface PlainAnswer {
  readonly intervals: readonly StageInterval[];
  readonly checkpoint: Digest;
}

async function iterate(
  { control, rollout, gpu }: Composition,
  order: PlainOrder,
): Promise<PlainAnswer> {
  const config = RunConfig.parse(order.config);
  const intervals: StageInterval[] = [];
  const step = async <R>(stage: string, activity: () => Promise<R>): Promise<R> => {
    const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
    const startMs = Date.now();
    const result = await environment.run<[], R, () => Promise<R>>(activity);
    intervals.push({ stage, startMs, endMs: Date.now() });
    return result;
  };
  const { policy, agent, seed, rollouts } = config;
  const { dataset, tasks } = await step('openRun', () => control.openRun({ config }));
  const created = await step('createPolicy', () =>
    gpu.createPolicy({ run: order.run, policy, seed }),
  );
  intervals.length = 0; // both belong to no iteration

  const rollAndScore = async (
    run: string,
    iteration: number,
    checkpoint: Digest,
    selection: TaskSelection,
  ): Promise<{ batches: ObjectRef[]; scored: ScoreResult }> => {
    const isTraining = selection.split === 'train';
    const shards = Math.min(rollouts.shards, selection.count);
    const results = await Promise.all(
      Array.from({ length: shards }, (_, shard) => {
        const start = Math.floor((selection.count * shard) / shards);
        const end = Math.floor((selection.count * (shard + 1)) / shards);
        const part = { ...selection, from: selection.from + start, count: end - start };
        return step('rollOut', () =>
          rollout.rollOut({
            ...{ run, iteration, policy, agent, checkpoint, dataset, datasetName: config.dataset },
            ...{ selection: part, shard, shards, seed, rollouts },
            repeats: isTraining ? config.repeats : 1,
            temperature: isTraining ? config.temperature : 0,
          }),
        );
      }),
    );
    const batches = results.map(({ batch }) => batch);
    const { weights } = config.reward;
    const scored = await step('score', () =>
      rollout.score({ run, iteration, dataset, datasetName: config.dataset, batches, weights }),
    );
    return { batches, scored };
  };

  let { checkpoint } = created;
  let replay: ObjectRef | null = null;
  for (let iteration = 0; iteration < order.iterations; iteration++) {
    const from = iteration * config.tasksPerIteration;
    const selection = { split: 'train', order: 'shuffled', from, count: config.tasksPerIteration };
    const { batches, scored } = await rollAndScore(
      order.run,
      iteration,
      checkpoint,
      selection as TaskSelection,
    );
    const trained = await step('train', () =>
      gpu.train({
        ...{ run: order.run, iteration, policy, dataset, parent: checkpoint, batches, replay },
        ...{ rewards: scored.rewards, weights: config.reward.weights, train: config.train, seed },
      }),
    );
    ({ checkpoint, replay } = trained);
    const count = Math.min(config.select.maxTasks, tasks.select);
    await rollAndScore(`${order.run}.select`, iteration + 1, checkpoint, {
      ...{ split: 'select', order: 'fixed', from: 0, count },
    });
  }
  return { intervals, checkpoint };
}

if (require.main === module) {
  const composition = compose(readEnvironment(process.env), {
    hasSearchAttributes: async () => false,
  });
  process.on('message', (order: PlainOrder) => {
    composition
      .then((composed) => iterate(composed, order))
      .then(
        (answer) => process.send?.(answer),
        (error: unknown) => {
          console.error(error);
          process.exit(1);
        },
      );
  });
}

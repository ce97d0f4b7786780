import { randomBytes } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import type { DatasetReader } from '../src/datasets/dataset-reader';
import { IntegrityError } from '../src/errors';
import { sumCounts } from '../src/loop/drops';
import { readBatch, readSegments } from '../src/rollouts/segment-reader';
import type { RewardRecord } from '../src/schemas/reward';
import { ScoreInput, type ScoreResult } from '../src/schemas/stages';
import { composeReward } from '../src/scoring/compose';
import { scoreTrajectory, type ScoringOptions } from '../src/scoring/score-trajectory';
import type { Scorer } from '../src/scoring/scorer';
import { estimateMean } from '../src/stats/mean-estimate';
import { streamJsonLines } from '../src/storage/json-objects';
import { runSegmentKey } from '../src/storage/keys';
import type { ObjectStore } from '../src/storage/object-store';
import { writeIterationRecord } from '../src/storage/run-records';
import { attemptName, scheduledAt, startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';

export interface ScoreDeps {
  readonly store: ObjectStore;
  readonly datasets: DatasetReader;
  readonly scorers: readonly Scorer[];
  readonly now: () => number;
  /** How patient scoring is with scorers that throw or take long; the defaults of ScoringOptions when left out. */
  readonly patience?: Omit<ScoringOptions, 'now'>;
}

export interface ScoreActivities {
  score(input: z.input<typeof ScoreInput>): Promise<ScoreResult>;
}

/**
 * Scores every trajectory of a batch with every scorer that this worker has registered, into one segment of reward
 * records. Infrastructure failures get no record at all: they are counted, not rewarded.
 */
export function createScoreActivities({
  store,
  datasets,
  scorers,
  now,
  patience = {},
}: ScoreDeps): ScoreActivities {
  /** What a reader without Temporal goes by, and what keeps the batch from garbage collection. */
  const recordScored = async (input: ScoreInput, result: ScoreResult): Promise<void> => {
    const manifests = await Promise.all(input.batches.map((ref) => readBatch(store, ref)));
    await writeIterationRecord(store, {
      ...{ formatVersion: 1, kind: 'scored', run: input.run, iteration: input.iteration },
      at: scheduledAt(),
      dataset: { name: input.datasetName, digest: input.dataset },
      ...{ batches: input.batches, rewards: result.rewards, weights: input.weights },
      ...{ reward: result.reward, metrics: result.metrics, rollouts: result.rollouts },
      outcomes: sumCounts(manifests.map(({ outcomes }) => outcomes)),
      drops: sumCounts([...manifests.map(({ drops }) => drops), result.drops]),
    });
  };

  return {
    async score(rawInput) {
      const input = parseActivityInput(ScoreInput, rawInput, 'score');
      const signal = Context.current().cancellationSignal;
      const heartbeat = startHeartbeat({ done: 0 });
      try {
        const references = await datasets.references(input.datasetName, input.dataset);
        const tasks = new Map(
          (
            await Promise.all(
              (['train', 'select', 'gate', 'report'] as const).map((split) =>
                datasets.tasks(input.datasetName, input.dataset, split),
              ),
            )
          )
            .flat()
            .map((task) => [task.id, task]),
        );
        const values = new Map<string, number[]>();
        const rewards: number[] = [];
        const drops: Record<string, number> = {};
        let done = 0;
        // One segment and its records in memory at a time, however many rollouts there are.
        const scoreAll = async function* (): AsyncGenerator<RewardRecord> {
          for await (const segment of readSegments(store, input.batches)) {
            for (const trajectory of segment.trajectories) {
              signal.throwIfAborted(); // a worker that stops gives the scoring up: it is short, and done again elsewhere
              done += 1;
              const id = trajectory.task ?? '';
              const task = tasks.get(id);
              const reference = references.get(id);
              if (task === undefined || reference === undefined) {
                throw new IntegrityError(
                  'a trajectory names a task that its dataset does not hold',
                  {
                    context: { trajectory: trajectory.id, task: id, dataset: input.datasetName },
                  },
                );
              }
              const scored = await scoreTrajectory(
                { trajectory, task, reference, message: (messageId) => segment.message(messageId) },
                scorers,
                { now, ...patience },
              );
              if (scored.kind === 'dropped') continue; // counted where it was rolled out
              if (scored.kind === 'unresolved') {
                drops[scored.reason] = (drops[scored.reason] ?? 0) + 1;
                continue;
              }
              yield* scored.records;
              const scores = new Map(scored.records.map(({ scorer, value }) => [scorer, value]));
              for (const [scorer, value] of scores) {
                const list = values.get(scorer);
                if (list === undefined) values.set(scorer, [value]);
                else list.push(value);
              }
              const reward = composeReward(scores, input.weights);
              if (reward !== null) rewards.push(reward);
            }
            heartbeat.set({ done });
          }
        };
        const key = runSegmentKey(
          input.run,
          input.iteration,
          'rewards',
          attemptName(randomBytes(4).toString('hex')),
        );
        const written = await streamJsonLines(store, key, scoreAll());
        const metrics: ScoreResult['metrics'] = {};
        for (const [scorer, list] of values) {
          const estimate = estimateMean(list);
          if (estimate !== null) metrics[scorer] = estimate;
        }
        const result: ScoreResult = {
          rewards: written,
          reward: estimateMean(rewards),
          metrics,
          rollouts: done,
          drops,
        };
        await recordScored(input, result);
        return result;
      } finally {
        heartbeat.stop();
      }
    },
  };
}

import { InvalidInputError } from '../../../src/errors';
import { collectGarbage } from '../../../src/integrity/collect-garbage';
import {
  exportTrajectories,
  type ExportedLine,
  type ExportedTrajectory,
} from '../../../src/runs/export-trajectories';
import { findRun, listRuns, readSelectRun } from '../../../src/runs/run-catalog';
import { runRecordKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { renderRun, renderRuns } from '../../../workers/runs-commands';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { damage, keyMatching } from '../../helpers/damage';
import {
  activitiesOn,
  createExecution,
  oneIteration,
  RUN,
  type Iteration,
} from '../../helpers/small-iteration';

let store: ObjectStore;
let iteration: Iteration;
beforeEach(async () => {
  store = createMemoryObjectStore();
  iteration = await oneIteration(activitiesOn(store));
});

async function linesOf(run = RUN, options: { iteration?: number } = {}): Promise<ExportedLine[]> {
  const lines: ExportedLine[] = [];
  for await (const line of exportTrajectories(store, await findRun(store, run), options))
    lines.push(line);
  return lines;
}

async function exported(...args: Parameters<typeof linesOf>): Promise<ExportedTrajectory[]> {
  return (await linesOf(...args)).filter((line) => line.type === 'trajectory');
}

const fail = (_: string, error: Error): never => {
  throw error;
};

it('a run whose records are damaged is named, and the others are listed', async () => {
  await damage(store, runRecordKey(RUN), 'truncated');
  const damaged: string[] = [];
  const runs = await listRuns(store, (run) => damaged.push(run));
  expect(damaged).toEqual([RUN]);
  expect(runs.map(({ kind }) => kind)).toEqual(['evaluation']);
});

it('runs are listed from the store alone: iterations, last reward, checkpoint', async () => {
  const runs = await listRuns(store, fail);
  expect(runs.map(({ kind }) => kind)).toEqual(['evaluation', 'training']);
  expect(runs[1]).toMatchObject({
    ...{ run: RUN, policy: 'support', iterations: { done: 1, of: 2 } },
    ...{ checkpoint: iteration.candidate, reward: { n: 4 } },
  });
  const text = renderRuns(runs);
  expect(text).toContain(RUN);
  expect(text).toContain('1/2');
});

it('a store without runs says how to get one', async () => {
  expect(renderRuns(await listRuns(createMemoryObjectStore(), fail))).toContain('no runs');
});

it('a run is shown with its curve and its outcomes', async () => {
  const run = await findRun(store, RUN);
  expect(run.iterations).toMatchObject([
    { iteration: 0, repeated: 0, scored: { outcomes: { completed: 4 }, drops: {} } },
  ]);
  const text = renderRun(run, await readSelectRun(store, RUN));
  expect(text).toMatch(/iteration +rollouts +dropped +reward/);
  expect(text).toMatch(/iteration +completed +repeated/);
});

it('the beginning of a name will do where one run has it; its evaluations are not meant', async () => {
  expect((await findRun(store, 'desk-1')).run).toBe(RUN);
  await expect(findRun(store, 'dusk')).rejects.toThrow(InvalidInputError);
  await expect(findRun(store, 'dusk')).rejects.toThrow(
    /there is no run dusk: expected one of .*desk-1/,
  );
  await store.put(
    'v1/runs/desk-1.another/run.json',
    (await store.get(`v1/runs/${RUN}/run.json`)).bytes,
  );
  await expect(findRun(store, 'desk-1')).rejects.toThrow(/more than one run begins with desk-1/);
});

it('an export has every trajectory once, with its messages in place and its rewards beside it', async () => {
  const [toolset] = await linesOf(); // tools once, and before who names them
  expect(toolset).toMatchObject({ type: 'toolset', tools: { length: 3 } });
  const rows = await exported();
  expect(await linesOf()).toHaveLength(rows.length + 1);
  expect(rows.map(({ trajectory }) => trajectory.task).sort()).toEqual([
    'train-0',
    'train-1',
    'train-2',
    'train-3',
  ]);
  for (const { trajectory, rewards, iteration: number } of rows) {
    expect(number).toBe(1);
    const [decision] = trajectory.decisions;
    expect(decision?.messages[0]?.content).toBe(`query train ${trajectory.task?.slice(-1)}`);
    expect(decision?.answer.role).toBe('assistant');
    expect(decision?.toolset).toBe(toolset?.type === 'toolset' ? toolset.id : null);
    expect(rewards).toMatchObject([{ trajectory: trajectory.id }]);
  }
  expect(await exported(RUN, { iteration: 1 })).toEqual(rows);
});

it('a scoring that ran twice, because its answer got lost, exports once', async () => {
  const before = await exported();
  const activities = activitiesOn(store);
  await createExecution().run('score', () =>
    activities.score({
      ...{ run: RUN, iteration: 0, dataset: iteration.dataset, datasetName: 'desk' },
      ...{ batches: [iteration.trained.batch.batch], weights: { resolved: 1 } },
    }),
  );
  const run = await findRun(store, RUN);
  expect(run.iterations[0]).toMatchObject({ repeated: 0 });
  expect(await exported()).toEqual(before);
});

it('an iteration that is not there is an error that names those that are', async () => {
  await expect(exported(RUN, { iteration: 7 })).rejects.toThrow(
    /no scored iteration 7: expected one of 1/,
  );
});

it('a run whose trajectories were collected says so, and is still listed and shown', async () => {
  await collectGarbage(store, {
    workflows: { openWorkflowIds: async () => new Set() },
    ...{ olderThanMs: 0, runsOlderThanMs: 0, isDryRun: false },
  });
  await expect(exported()).rejects.toThrow(/garbage collection dropped it/);
  expect(renderRun(await findRun(store, RUN), null)).toContain('trajectories dropped');
  expect(await listRuns(store, fail)).toHaveLength(2);
});

it('an export refuses rewards that are damaged before it gives a line', async () => {
  await damage(store, await keyMatching(store, new RegExp(`${RUN}/.*rewards/`)), 'altered');
  const rows = exportTrajectories(store, await findRun(store, RUN));
  await expect(rows.next()).rejects.toThrow(/expected sha256 .*, got sha256/);
});

import { z } from 'zod';
import { createEvaluateActivities, type EvaluateActivities } from '../../activities/evaluate';
import { createDatasetReader } from '../../src/datasets/dataset-reader';
import { registerDataset } from '../../src/datasets/register-dataset';
import { InvalidInputError } from '../../src/errors';
import type { Project } from '../../src/project';
import type { BatchManifest } from '../../src/rollouts/batch-manifest';
import type { Digest } from '../../src/schemas/ids';
import type { RewardRecord } from '../../src/schemas/reward';
import { RunConfig, type RunConfigInput } from '../../src/schemas/run-config';
import {
  CompareInput,
  OpenEvaluationInput,
  type EvaluationSummary,
} from '../../src/schemas/stages';
import type { DatasetSource } from '../../src/schemas/task';
import type { SegmentLine } from '../../src/schemas/trajectory';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import { readEvaluation, writeJsonLines } from '../../src/storage/json-objects';
import { runSegmentKey } from '../../src/storage/keys';
import type { ObjectStore } from '../../src/storage/object-store';
import { createRouting } from '../../src/storage/routing';
import { digest } from '../fakes/fake-activities';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { agent, config, resolved, runActivity, source } from './desk';

const counts = { train: 5, select: 5, gate: 60, report: 5 };
const project: Project = {
  agents: { desk: { kind: 'module', run: agent } },
  scorers: [resolved, { ...resolved, name: 'escalated' }],
  datasets: {
    desk: async () => source(counts),
    empty: async () => source({ train: 5, gate: 5 }),
    bare: async () => ({ ...source(counts), demonstrations: [] }),
  },
  policies: {
    support: { config, createFrom: { dataset: 'desk' } },
    bare: { config, createFrom: { dataset: 'bare' } },
    homeless: { config, createFrom: { dataset: 'nowhere' } },
  },
};

function activitiesOn(store: ObjectStore): EvaluateActivities {
  const datasets = createDatasetReader(store);
  const hasSearchAttributes = async (): Promise<boolean> => true;
  return createEvaluateActivities({ store, datasets, project, hasSearchAttributes });
}

async function makeChampion(store: ObjectStore, policy: string): Promise<void> {
  await createRouting(store, policy, {
    ...{ formatVersion: 1, generation: 1, champion: digest(1), candidate: null, basisPoints: 0 },
    ...{ salt: policy, leaseUntil: null, previous: null, promotionId: null },
  });
}

const runConfig = (rest: Partial<RunConfigInput> = {}): RunConfig =>
  RunConfig.parse({
    ...{ policy: 'support', dataset: 'desk', agent: 'desk' },
    reward: { weights: { resolved: 1 } },
    gate: { target: 'resolved', guardrails: [{ metric: 'escalated' }] },
    approval: { approvers: ['ops-lead'] },
    ...rest,
  });

describe('opening a run', () => {
  const open = (store: ObjectStore, rest: Partial<RunConfigInput> = {}) =>
    runActivity(() => activitiesOn(store).openRun({ config: runConfig(rest) }));

  it('registers the dataset and counts its tasks', async () => {
    const store = createMemoryObjectStore();
    const dataset = await registerDataset(createMemoryObjectStore(), 'desk', source(counts));
    await expect(open(store)).resolves.toEqual({
      ...{ dataset, champion: null, tasks: counts, searchAttributes: true },
    });
    const reader = createDatasetReader(store);
    await expect(reader.tasks('desk', dataset, 'gate')).resolves.toHaveLength(60);
  });

  it('finds the champion that there is, and asks for no demonstrations then', async () => {
    const store = createMemoryObjectStore();
    await makeChampion(store, 'bare');
    await expect(open(store, { policy: 'bare' })).resolves.toMatchObject({
      champion: { digest: digest(1), generation: 1 },
    });
  });

  it.each<[string, Partial<RunConfigInput>, RegExp]>([
    [
      'policy',
      { policy: 'suport' },
      /the policy suport is not registered on the workers: expected one of support, bare, homeless/,
    ],
    ['agent', { agent: 'dusk' }, /the agent dusk is not registered.*expected one of desk/],
    ['dataset', { dataset: 'dusk' }, /the dataset dusk is not registered/],
    [
      'name of an object’s method',
      { dataset: 'constructor' },
      /the dataset constructor is not reg/,
    ],
    [
      'scorer of the reward',
      { reward: { weights: { resolved: 1, polite: 1 } } },
      /the scorer polite is not registered.*expected one of resolved, escalated/,
    ],
    ['target of the gate', { gate: { target: 'polite' } }, /the scorer polite is not registered/],
    [
      'guardrail',
      { gate: { target: 'resolved', guardrails: [{ metric: 'polite' }] } },
      /the scorer polite is not registered/,
    ],
    ['dataset of the policy', { policy: 'homeless' }, /the dataset nowhere is not registered/],
  ])('names an unknown %s', async (_, rest, message) => {
    const opened = open(createMemoryObjectStore(), rest);
    await expect(opened).rejects.toThrow(InvalidInputError);
    await expect(opened).rejects.toThrow(message);
  });

  it('names the splits that are empty', async () => {
    const opened = open(createMemoryObjectStore(), { dataset: 'empty' });
    await expect(opened).rejects.toThrow(InvalidInputError);
    await expect(opened).rejects.toThrow(/no tasks in: select, report \[dataset=empty\]/);
  });

  it('asks for no report split where none is reported', async () => {
    const opened = open(createMemoryObjectStore(), { dataset: 'empty', report: false });
    await expect(opened).rejects.toThrow(/no tasks in: select \[/);
  });

  it('refuses a dataset without a single task', async () => {
    const store = createMemoryObjectStore();
    const none = async (): Promise<DatasetSource> => source({});
    const activities = createEvaluateActivities({
      ...{ store, datasets: createDatasetReader(store), hasSearchAttributes: async () => true },
      project: { ...project, datasets: { desk: none } },
    });
    await expect(runActivity(() => activities.openRun({ config: runConfig() }))).rejects.toThrow(
      /has no tasks: expected at least one \[dataset=desk\]/,
    );
  });

  it('refuses a policy that has neither a champion nor demonstrations', async () => {
    const opened = open(createMemoryObjectStore(), { policy: 'bare' });
    await expect(opened).rejects.toThrow(InvalidInputError);
    await expect(opened).rejects.toThrow(/no demonstrations.*policy=bare, dataset=bare/);
  });

  it('names the field of a config that is wrong', async () => {
    const garbage = { ...runConfig(), iterations: 0 };
    await expect(
      runActivity(() => activitiesOn(createMemoryObjectStore()).openRun({ config: garbage })),
    ).rejects.toThrow(/config\.iterations/);
  });
});

describe('opening an evaluation', () => {
  const candidateIn = (store: ObjectStore): Promise<Digest> =>
    writeCheckpoint(store, { files: new Map([['config.json', Buffer.from('{}')]]), metadata: {} });
  const open = (store: ObjectStore, candidate: Digest, rest: object = {}) =>
    runActivity(() =>
      activitiesOn(store).openEvaluation(
        OpenEvaluationInput.parse({
          ...{ policy: 'support', dataset: 'desk', agent: 'desk', candidate, split: 'gate' },
          ...{ gate: { target: 'resolved' }, ...rest },
        }),
      ),
    );

  it('finds the champion to compare with', async () => {
    const store = createMemoryObjectStore();
    await makeChampion(store, 'support');
    await expect(open(store, await candidateIn(store))).resolves.toMatchObject({
      champion: { digest: digest(1), generation: 1 },
      tasks: counts,
    });
  });

  it('needs a champion', async () => {
    const store = createMemoryObjectStore();
    await expect(open(store, await candidateIn(store))).rejects.toThrow(
      /has no champion to compare with.*policy=support/,
    );
  });

  it('needs a candidate that is in the store', async () => {
    const store = createMemoryObjectStore();
    await makeChampion(store, 'support');
    const opened = open(store, digest(7));
    await expect(opened).rejects.toThrow(InvalidInputError);
    await expect(opened).rejects.toThrow(/not a checkpoint of this store.*candidate=sha256:0/);
  });

  it('needs tasks in its split', async () => {
    const store = createMemoryObjectStore();
    await makeChampion(store, 'support');
    const opened = open(store, await candidateIn(store), { dataset: 'empty', split: 'report' });
    await expect(opened).rejects.toThrow(/no tasks in: report/);
  });
});

describe('a comparison', () => {
  const gateTasks = Array.from({ length: counts.gate }, (_, n) => n);

  /** Rollouts and scores of one arm; `scores` gives a task's values, one per repeat, none where it was lost. */
  async function armOf(
    store: ObjectStore,
    name: string,
    checkpoint: Digest,
    scores: (n: number) => readonly number[],
    order: readonly number[] = gateTasks,
  ): Promise<CompareInput['baseline']> {
    const lines: SegmentLine[] = [];
    const records: RewardRecord[] = [];
    for (const n of order) {
      for (const [member, value] of scores(n).entries()) {
        const id = `${name}-${n}-${member}`;
        lines.push({
          type: 'trajectory',
          trajectory: {
            ...{ id, task: `gate-${n}`, agent: 'desk', attempt: 1, member, decisions: [] },
            outcome: { kind: 'completed', result: null },
          },
        });
        for (const scorer of ['resolved', 'escalated'])
          records.push({
            ...{ id: `${id}-${scorer}`, trajectory: id, decision: null, scorer, value },
            ...{ scorerVersion: '1', by: scorer, at: '2026-11-24T08:00:00Z', supersedes: null },
          });
      }
    }
    const key = (kind: 'trajectories' | 'rewards', what: string): string =>
      runSegmentKey(name, 0, kind, `${what}-${order[0] ?? 0}`);
    const manifest: BatchManifest = {
      ...{ formatVersion: 1, checkpoint, outcomes: {}, drops: {}, rollouts: lines.length },
      segments: [await writeJsonLines(store, key('trajectories', 'segment'), lines)],
    };
    const batch = await writeJsonLines(store, key('trajectories', 'batch'), [manifest]);
    const rewards = await writeJsonLines(store, key('rewards', 'rewards'), records);
    return { checkpoint, batches: [batch], rewards, rollouts: lines.length, drops: {} };
  }

  // The champion solves the first half; the candidate all but every tenth task.
  const champion = (n: number): readonly number[] => [n < 30 ? 1 : 0];
  const candidate = (n: number): readonly number[] => [n % 10 === 3 ? 0 : 1];

  async function compared({
    order = gateTasks,
    before = champion,
    after = candidate,
    store = createMemoryObjectStore(),
    drops = {},
  } = {}): Promise<EvaluationSummary> {
    const dataset = await registerDataset(store, 'desk', source(counts));
    const input = CompareInput.parse({
      ...{ policy: 'support', dataset, datasetName: 'desk', split: 'gate', seed: 7 },
      baseline: await armOf(store, 'baseline', digest(1), before, order),
      candidate: { ...(await armOf(store, 'candidate', digest(2), after, order)), drops },
      gate: { target: 'resolved', guardrails: [{ metric: 'escalated' }], resamples: 1000 },
    });
    return runActivity(() => activitiesOn(store).compare(input));
  }

  it('says what was fixed and what newly broke', async () => {
    const store = createMemoryObjectStore();
    const summary = await compared({ store });
    expect(summary).toMatchObject({
      ...{ split: 'gate', baseline: digest(1), candidate: digest(2), decision: 'pass' },
      target: { metric: 'resolved', baseline: { value: 0.5, n: 60 }, candidate: { value: 0.9 } },
      guardrails: [{ metric: 'escalated' }],
      ...{ fixed: 27, broken: 3 },
    });
    const stored = await readEvaluation(store, summary.evaluation, z.unknown());
    expect(stored).toMatchObject({
      ...{ formatVersion: 1, policy: 'support', split: 'gate', seed: 7 },
      dataset: { name: 'desk', digest: summary.dataset },
      ...{ baseline: digest(1), candidate: digest(2) },
      changes: {
        broken: { count: 3, taskIds: ['gate-13', 'gate-23', 'gate-3'] },
        fixed: { count: 27 },
        slices: [
          { slice: 'label-of-slice-0', tasks: 30, fixed: 15, broken: 0 },
          { slice: 'label-of-slice-1', tasks: 30, fixed: 12, broken: 3 },
        ],
      },
    });
  });

  it('has a digest that does not depend on the order of its rows', async () => {
    const forth = await compared();
    const back = await compared({ order: [...gateTasks].reverse() });
    const odd = await compared({ order: [...gateTasks].sort((a, b) => (a % 7) - (b % 7)) });
    expect([back.evaluation, odd.evaluation]).toEqual([forth.evaluation, forth.evaluation]);
  });

  it('has another digest for other results', async () => {
    const other = await compared({ after: (n) => [n % 10 === 4 ? 0 : 1] });
    expect(other.evaluation).not.toBe((await compared()).evaluation);
  });

  it('averages the repeats of a task', async () => {
    const { target } = await compared({ before: () => [1, 0, 0, 0], after: () => [1, 1, 1, 0] });
    expect(target).toMatchObject({ baseline: { value: 0.25, n: 60 }, candidate: { value: 0.75 } });
    expect(target?.difference).toBeCloseTo(0.5, 12);
  });

  it('leaves out a task that one arm lost', async () => {
    const { target } = await compared({ after: (n) => (n === 5 ? [] : candidate(n)) });
    expect(target).toMatchObject({ baseline: { n: 59 }, candidate: { n: 59 } });
  });

  it('refuses to answer where infrastructure took too much of one arm', async () => {
    const { decision, reasons } = await compared({ drops: { 'agent-crashed': 10 } });
    expect(decision).toBe('refuse');
    expect(reasons.join()).toContain('agent-crashed 10');
  });

  it('fails a candidate that is no better', async () => {
    const summary = await compared({ after: champion });
    expect(summary).toMatchObject({ decision: 'fail', fixed: 0, broken: 0 });
  });
});

import { IntegrityError } from '../../../src/errors';
import { pairedRows, type EvaluatedArm } from '../../../src/evaluation/paired-rows';
import type { BatchManifest } from '../../../src/rollouts/batch-manifest';
import type { RewardRecord } from '../../../src/schemas/reward';
import type { Reference } from '../../../src/schemas/task';
import type { SegmentLine } from '../../../src/schemas/trajectory';
import { writeJsonLines } from '../../../src/storage/json-objects';
import { runSegmentKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { digest } from '../../fakes/fake-activities';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';

/** One rollout: its task (null: live traffic), and its scores. */
type Rollout = readonly [task: string | null, scores: Readonly<Record<string, number>>];

const references: ReadonlyMap<string, Reference> = new Map(
  ['a', 'b', 'c'].map((id) => [
    id,
    { id, family: `family-${id}`, slice: `slice-${id}`, reference: null },
  ]),
);

async function armOf(
  store: ObjectStore,
  name: string,
  rollouts: readonly Rollout[],
): Promise<EvaluatedArm> {
  const key = (what: string): string => runSegmentKey(name, 0, 'trajectories', what);
  const lines = rollouts.map(([task], member): SegmentLine => ({
    type: 'trajectory',
    trajectory: {
      ...{ id: `${name}-${member}`, task, agent: 'fake', attempt: 1, member, decisions: [] },
      outcome: { kind: 'completed', result: null },
    },
  }));
  const records = rollouts.flatMap(([, scores], member) =>
    Object.entries(scores).map(([scorer, value]): RewardRecord => ({
      ...{ id: `${name}-${member}-${scorer}`, trajectory: `${name}-${member}`, decision: null },
      ...{ scorer, scorerVersion: '1', value, by: scorer, supersedes: null },
      at: '2026-11-24T08:00:00Z',
    })),
  );
  const manifest: BatchManifest = {
    ...{ formatVersion: 1, checkpoint: digest(1), rollouts: lines.length, outcomes: {}, drops: {} },
    segments: [await writeJsonLines(store, key('segment'), lines)],
  };
  const rewards = await writeJsonLines(store, key('rewards'), records);
  return { batches: [await writeJsonLines(store, key('batch'), [manifest])], rewards };
}

async function rowsOf(
  metrics: readonly string[],
  champion: readonly Rollout[],
  candidate: readonly Rollout[],
): Promise<unknown[]> {
  const store = createMemoryObjectStore();
  const arms = await Promise.all([
    armOf(store, 'champion', champion),
    armOf(store, 'candidate', candidate),
  ]);
  return pairedRows(store, references, metrics, ...arms);
}

describe('the rows that a gate judges', () => {
  it('pair both policies by task, with its family and its slice', async () => {
    const rows = await rowsOf(
      ['resolved'],
      [
        ['a', { resolved: 0 }],
        ['b', { resolved: 1 }],
      ],
      [
        ['b', { resolved: 1 }],
        ['a', { resolved: 1 }],
      ],
    );
    expect(rows).toEqual([
      {
        ...{ metric: 'resolved', taskId: 'a', cluster: 'family-a', slice: 'slice-a' },
        ...{ champion: 0, candidate: 1 },
      },
      {
        ...{ metric: 'resolved', taskId: 'b', cluster: 'family-b', slice: 'slice-b' },
        ...{ champion: 1, candidate: 1 },
      },
    ]);
  });

  it('average the repeats of a task', async () => {
    const rows = await rowsOf(
      ['resolved'],
      [
        ['a', { resolved: 0 }],
        ['a', { resolved: 1 }],
      ],
      [['a', { resolved: 1 }]],
    );
    expect(rows).toMatchObject([{ champion: 0.5, candidate: 1 }]);
  });

  it('leave out a task that one arm was not scored on, metric by metric', async () => {
    const rows = await rowsOf(
      ['resolved', 'escalated'],
      [
        ['a', { resolved: 1, escalated: 1 }],
        ['b', { resolved: 1 }],
        ['c', { resolved: 1 }],
      ],
      [
        ['a', { resolved: 1 }],
        ['b', { resolved: 1 }],
        ['c', {}], // infrastructure took it
      ],
    );
    expect(rows).toMatchObject([
      { metric: 'resolved', taskId: 'a' },
      { metric: 'resolved', taskId: 'b' },
    ]);
  });

  it('hold only the metrics that were asked for, and no live traffic', async () => {
    const rollouts: Rollout[] = [
      ['a', { resolved: 1, polite: 1 }],
      [null, { resolved: 1 }],
    ];
    expect(await rowsOf(['resolved'], rollouts, rollouts)).toMatchObject([
      { metric: 'resolved', taskId: 'a' },
    ]);
  });

  it('cannot be made of a task that the dataset does not hold', async () => {
    const rollouts: Rollout[] = [['z', { resolved: 1 }]];
    const rows = rowsOf(['resolved'], rollouts, rollouts);
    await expect(rows).rejects.toThrow(IntegrityError);
    await expect(rows).rejects.toThrow(/no reference in its dataset \[task=z\]/);
  });
});

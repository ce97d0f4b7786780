import { InvalidInputError, IntegrityError } from '../../src/errors';
import { registerDataset } from '../../src/datasets/register-dataset';
import { RewardRecord } from '../../src/schemas/reward';
import type { ScoreResult } from '../../src/schemas/stages';
import type { Scorer } from '../../src/scoring/scorer';
import { readJsonLines } from '../../src/storage/json-objects';
import { agent, openDesk, resolved, runActivity, source, type Desk } from './desk';

async function scoredBy(
  desk: Desk,
  weights: Readonly<Record<string, number>> = { resolved: 1 },
  dataset = desk.dataset,
): Promise<ScoreResult> {
  const { batch } = await runActivity(() => desk.rollout.rollOut(desk.rollOutInput()));
  return runActivity(() =>
    desk.score.score({
      ...{ run: 'desk-1.abc', iteration: 2, dataset, datasetName: 'desk' },
      ...{ batches: [batch], weights: { ...weights } },
    }),
  );
}

const recordsOf = (desk: Desk, { rewards }: ScoreResult): Promise<RewardRecord[]> =>
  readJsonLines(desk.store, rewards, RewardRecord);

describe('scoring a batch', () => {
  it('writes one record per trajectory and scorer that applies, and their means', async () => {
    const outOfScope: Scorer = {
      name: 'escalated',
      version: '2',
      score: ({ task, result }) =>
        task.id === 'train-2' ? Number((result as { tool: string }).tool === 'human') : null,
    };
    const desk = await openDesk({ scorers: [resolved, outOfScope] });
    const scored = await scoredBy(desk);
    const records = await recordsOf(desk, scored);
    expect(records.filter(({ scorer }) => scorer === 'resolved')).toHaveLength(20);
    expect(records.filter(({ scorer }) => scorer === 'escalated')).toHaveLength(1);
    const values = records.filter(({ scorer }) => scorer === 'resolved').map(({ value }) => value);
    const mean = values.reduce((sum, value) => sum + value, 0) / 20;
    expect(scored).toMatchObject({ rollouts: 20, drops: {}, reward: { value: mean, n: 20 } });
    expect(scored.metrics).toMatchObject({ resolved: { n: 20 }, escalated: { n: 1 } });
  });

  it('gives a failure of infrastructure no record at all', async () => {
    const desk = await openDesk({
      runAgent: async (invocation) => {
        if ((invocation.input as { query: string }).query.endsWith(' 4')) throw new Error('broke');
        return agent(invocation);
      },
    });
    const scored = await scoredBy(desk);
    expect(scored).toMatchObject({ rollouts: 20, drops: {}, reward: { n: 19 } });
    await expect(recordsOf(desk, scored)).resolves.toHaveLength(19);
  });

  it('counts what no scorer could judge, and makes no reward of it', async () => {
    const moody: Scorer = {
      name: 'resolved',
      version: '1',
      score: ({ task }) => {
        if (task.id === 'train-4') throw new Error('the judge is out');
        return 1;
      },
    };
    const scored = await scoredBy(await openDesk({ scorers: [moody] }));
    expect(scored).toMatchObject({ drops: { 'scorer-failed': 1 }, reward: { value: 1, n: 19 } });
  });

  it('has no reward where no weighted scorer applies', async () => {
    const scored = await scoredBy(await openDesk(), { other: 1 });
    expect(scored.reward).toBeNull();
    expect(scored.metrics['resolved']?.n).toBe(20);
  });

  it('makes the same records when it is run again', async () => {
    const desk = await openDesk();
    const first = await recordsOf(desk, await scoredBy(desk));
    await expect(recordsOf(desk, await scoredBy(desk))).resolves.toEqual(first);
  });

  it('refuses a batch of another dataset', async () => {
    const desk = await openDesk();
    const other = await registerDataset(desk.store, 'desk', source({ gate: 5 }));
    const scored = scoredBy(desk, { resolved: 1 }, other);
    await expect(scored).rejects.toThrow(IntegrityError);
    await expect(scored).rejects.toThrow(/names a task that its dataset does not hold/);
  });

  it('refuses a scorer that returns no number', async () => {
    const broken: Scorer = { name: 'resolved', version: '1', score: () => Number.NaN };
    const scored = scoredBy(await openDesk({ scorers: [broken] }));
    await expect(scored).rejects.toThrow(InvalidInputError);
  });
});

import { InvalidInputError } from '../../../src/errors';
import { RewardRecord } from '../../../src/schemas/reward';
import type { AttemptOutcome } from '../../../src/schemas/outcome';
import type { Trajectory } from '../../../src/schemas/trajectory';
import { type ScoredTrajectory, scoreTrajectory } from '../../../src/scoring/score-trajectory';
import type { Scorer, ScorerInput } from '../../../src/scoring/scorer';

const trajectoryWith = (outcome: AttemptOutcome | null): Trajectory => ({
  id: 'rollout-1-1',
  task: 'train-00001',
  agent: 'support-desk',
  attempt: 1,
  member: 0,
  outcome,
  decisions: [],
});
const completed: AttemptOutcome = { kind: 'completed', result: { action: 'transfer' } };

const scorer = (name: string, score: Scorer['score'], version = '1'): Scorer => ({
  name,
  version,
  score,
});

function score(
  scorers: readonly Scorer[],
  outcome: AttemptOutcome | null = completed,
  nowMs = 0,
  timeoutMs = 10_000,
): Promise<ScoredTrajectory> {
  return scoreTrajectory(
    {
      trajectory: trajectoryWith(outcome),
      task: { id: 'train-00001', cluster: 'c', split: 'train', input: { query: 'q' } },
      reference: { id: 'train-00001', family: 'f', slice: 's', reference: { intent: 'transfer' } },
      message: () => ({ role: 'user' }),
    },
    scorers,
    { now: () => nowMs, backoffMs: 1, timeoutMs },
  );
}

const recordsOf = (scored: ScoredTrajectory): readonly RewardRecord[] => {
  if (scored.kind !== 'scored') throw new Error(JSON.stringify(scored));
  return scored.records;
};

describe('scoring a trajectory', () => {
  it('gives one record for each scorer that applies, of the schema', async () => {
    const records = recordsOf(
      await score([
        scorer('customer', ({ result }) =>
          (result as { action: string }).action === 'transfer' ? 1 : 0,
        ),
        scorer('escalation', () => null),
        scorer('brevity', async () => 0.25, '3'),
      ]),
    );
    expect(
      records.map(({ scorer: name, scorerVersion, value, by }) => [name, scorerVersion, value, by]),
    ).toEqual([
      ['customer', '1', 1, 'customer'],
      ['brevity', '3', 0.25, 'brevity'],
    ]);
    for (const record of records) {
      expect(RewardRecord.parse(record)).toEqual(record);
      expect(record).toMatchObject({
        trajectory: 'rollout-1-1',
        decision: null,
        supersedes: null,
        at: '1970-01-01T00:00:00.000Z',
      });
    }
  });

  it('names a record by what was scored with which version, and by nothing else', async () => {
    const idOf = async (name: string, version: string, nowMs = 0): Promise<string> =>
      recordsOf(await score([scorer(name, () => 1, version)], completed, nowMs))[0]?.id ?? '';
    const id = await idOf('customer', '1');
    expect(id).toMatch(/^reward-[0-9a-f]{32}$/);
    expect(await idOf('customer', '1', 99)).toBe(id);
    expect(await idOf('customer', '2')).not.toBe(id);
    expect(await idOf('other', '1')).not.toBe(id);
  });

  it('asks a scorer that throws again', async () => {
    let calls = 0;
    const flaky = scorer('judge', () => {
      calls += 1;
      if (calls < 3) throw new Error('the judge is busy');
      return 1;
    });
    expect(recordsOf(await score([flaky]))).toHaveLength(1);
    expect(calls).toBe(3);
  });

  it('leaves a trajectory unresolved, not at 0, when a scorer keeps throwing', async () => {
    let calls = 0;
    const broken = scorer('judge', () => {
      calls += 1;
      return Promise.reject(new Error('the judge is gone'));
    });
    expect(await score([scorer('customer', () => 1), broken])).toEqual({
      kind: 'unresolved',
      reason: 'scorer-failed',
      detail: 'judge: the judge is gone',
    });
    expect(calls).toBe(3);
  });

  it('asks a scorer that takes too long again, having told it that nobody waits any more', async () => {
    const signals: AbortSignal[] = [];
    const slow = scorer('judge', ({ signal }) => {
      signals.push(signal as AbortSignal);
      return signals.length < 2 ? new Promise(() => undefined) : 0.5;
    });
    expect(recordsOf(await score([slow], completed, 0, 20))).toMatchObject([{ value: 0.5 }]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  });

  it('leaves a trajectory unresolved, not at 0, when a scorer never answers in time', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): number => unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    const never = scorer('judge', async ({ signal }) => {
      await new Promise((late) => signal?.addEventListener('abort', late));
      throw new Error('too late');
    });
    expect(await score([scorer('customer', () => 1), never], completed, 0, 10)).toEqual({
      kind: 'unresolved',
      reason: 'scorer-timed-out',
      detail: 'judge: no value within 10 ms',
    });
    await new Promise(setImmediate);
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
  });

  it.each([NaN, Infinity, undefined, '1', true])(
    'refuses %p for a score at once, naming the scorer',
    async (value) => {
      let calls = 0;
      const wrong = scorer('judge', () => {
        calls += 1;
        return value as number;
      });
      await expect(score([wrong])).rejects.toThrow(InvalidInputError);
      await expect(score([wrong])).rejects.toThrow('scorer=judge');
      expect(calls).toBe(2); // one each
    },
  );

  it('gives an attempt that failed by policy 0 from every scorer that applies to its task', async () => {
    const seen: unknown[] = [];
    const records = recordsOf(
      await score(
        [
          scorer('customer', ({ result }: ScorerInput) => {
            seen.push(result);
            return 1; // whatever a scorer makes of a null result
          }),
          scorer('escalation', () => null),
        ],
        { kind: 'policyFailed', reason: 'deadline' },
      ),
    );
    expect(records.map(({ scorer: name, value }) => [name, value])).toEqual([['customer', 0]]);
    expect(seen).toEqual([null]);
  });

  it('never scores what infrastructure took, and says why it was dropped', async () => {
    const never = scorer('customer', () => {
      throw new Error('must not be asked');
    });
    const infra: AttemptOutcome = {
      kind: 'infraFailed',
      reason: 'upstream-error',
      detail: 'HTTP 503',
    };
    expect(await score([never], infra)).toEqual({ kind: 'dropped', reason: 'upstream-error' });
    expect(await score([never], { kind: 'unresolved', reason: 'r', detail: 'd' })).toEqual({
      kind: 'unresolved',
      reason: 'r',
      detail: 'd',
    });
    expect((await score([never], null)).kind).toBe('unresolved');
  });
});

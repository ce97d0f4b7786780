import { Duration, durationMs } from '../../../src/schemas/duration';
import { Digest, DigestPrefix, Name, namesDigest, shortDigest } from '../../../src/schemas/ids';
import { PromotionConfig } from '../../../src/schemas/promotion-config';
import { EvaluationConfig, RunConfig } from '../../../src/schemas/run-config';
import { TaskCounts } from '../../../src/schemas/stages';
import { textOf } from '../../../src/schemas/message';
import { digest } from '../../fakes/fake-activities';

const minimal = {
  ...{ policy: 'support', dataset: 'desk', agent: 'desk' },
  reward: { weights: { resolved: 1 } },
  gate: { target: 'resolved' },
  approval: { approvers: ['ops-lead'] },
};
/** Paths of what a schema refuses. */
const refusedPaths = (schema: typeof RunConfig, input: unknown): string[] =>
  schema.safeParse(input).error?.issues.map(({ path }) => path.join('.')) ?? [];

describe('the configuration of a run', () => {
  it('needs a policy, a dataset, an agent, a reward, a gate and approvers; the rest has defaults', () => {
    expect(RunConfig.parse(minimal)).toMatchObject({
      ...{ seed: 1, iterations: 8, tasksPerIteration: 1000, repeats: 1, temperature: 1 },
      rollouts: { shards: 2, concurrency: 16, timeout: '60s', attempts: 3 },
      train: { algorithm: 'replay' },
      select: { every: 1, maxTasks: 2000 },
      gate: { confidence: 0.95, guardrails: [], maxDropShare: 0.05, minTasks: 30 },
      ...{ report: true, watch: '24h', maxDropShare: 0.05 },
      approval: { mode: 'signal', deadline: '7d' },
    });
    for (const field of Object.keys(minimal))
      expect(refusedPaths(RunConfig, { ...minimal, [field]: undefined })).toEqual([field]);
  });

  it('is the same after it was parsed, written and parsed again', () => {
    const config = RunConfig.parse(minimal);
    expect(RunConfig.parse(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it.each<[object, string]>([
    [{ iteratons: 8 }, ''], // a typo is not a default
    [{ iterations: 0 }, 'iterations'],
    [{ iterations: 1.5 }, 'iterations'],
    [{ temperature: 0 }, 'temperature'],
    [{ seed: -1 }, 'seed'],
    [{ seed: 2 ** 32 }, 'seed'],
    [{ policy: 'Support Desk' }, 'policy'],
    [{ policy: '../etc' }, 'policy'],
    [{ rollouts: { timeout: '1 minute' } }, 'rollouts.timeout'],
    [{ rollouts: { concurency: 3 } }, 'rollouts'],
    [{ reward: { weights: {} } }, 'reward.weights'],
    [{ reward: { weights: { resolved: 0 } } }, 'reward.weights.resolved'],
    [{ train: { algorithm: 'magic' } }, 'train.algorithm'],
    [{ gate: { target: 'resolved', confidence: 1 } }, 'gate.confidence'],
    [{ approval: { approvers: [] } }, 'approval.approvers'],
    [{ agent: { command: ['rm'] } }, 'agent'], // a config cannot bring a program
  ])('refuses %j and names %j', (wrong, path) => {
    expect(refusedPaths(RunConfig, { ...minimal, ...wrong })).toEqual([path]);
  });
});

describe('the configurations of an evaluation and of a promotion', () => {
  const { policy, dataset, agent, gate, approval } = minimal;
  const shared = { policy, dataset, agent, gate };

  it('of an evaluation asks for the gate’s split unless told otherwise', () => {
    const config = EvaluationConfig.parse({ ...shared, candidate: digest(2) });
    expect(config).toMatchObject({ split: 'gate', repeats: 1, seed: 1 });
    const train = { ...shared, candidate: digest(2), split: 'train' };
    expect(EvaluationConfig.safeParse(train).success).toBe(false);
  });

  it('of a promotion says where its evidence comes from', () => {
    const gather = { ...shared, candidate: digest(2), approval };
    expect(PromotionConfig.parse({ ...gather, evidence: 'gather' })).toMatchObject({
      watch: '24h',
    });
    expect(PromotionConfig.safeParse(gather).success).toBe(false);
    // 'approved' without a record of the approval is no way around the gate
    expect(PromotionConfig.safeParse({ ...gather, evidence: 'approved' }).success).toBe(false);
  });
});

describe('names, digests and durations', () => {
  it('a name may stand in keys, model names and workflow ids', () => {
    for (const good of ['a', 'support-desk', '7', 'x'.repeat(63)])
      expect(Name.safeParse(good).success).toBe(true);
    for (const bad of ['', '-a', 'A', 'a_b', 'a/b', 'a.b', 'x'.repeat(64), 'a\n'])
      expect(Name.safeParse(bad).success).toBe(false);
  });

  it('a digest is named by itself or by at least its first twelve digits', () => {
    const one: Digest = `sha256:${'0123456789ab'.padEnd(64, 'c')}`;
    for (const prefix of ['0123456789ab', '0123456789abc', 'sha256:0123456789ab', one]) {
      expect(namesDigest(prefix, one)).toBe(true);
      expect(DigestPrefix.safeParse(prefix).success).toBe(true);
    }
    for (const prefix of ['', 'sha256:', '0123456789a', '0123456789ad', '123456789abc'])
      expect(namesDigest(prefix, one)).toBe(false);
    expect(namesDigest(shortDigest(one), one)).toBe(true);
    expect(Digest.safeParse('0'.repeat(64)).success).toBe(false);
  });

  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['15m', 900_000],
    ['24h', 86_400_000],
    ['7d', 604_800_000],
  ])('%s is %i ms', (duration, ms) => {
    expect(durationMs(Duration.parse(duration))).toBe(ms);
  });

  it.each([
    '',
    '7',
    'd',
    '1.5h',
    '-1s',
    ' 1s',
    '1s ',
    '1 s',
    '1w',
    'P1D',
    '3651d',
    '9'.repeat(400) + 'h',
  ])('%j is no duration', (text) => {
    expect(Duration.safeParse(text).success).toBe(false);
    expect(() => durationMs(text)).toThrow(RangeError);
  });

  it('the counts of tasks name every split', () => {
    const counts = { train: 1, select: 0, gate: 0, report: 0 };
    expect(TaskCounts.safeParse(counts).success).toBe(true);
    expect(TaskCounts.safeParse({ train: 1 }).success).toBe(false);
    expect(TaskCounts.safeParse({ ...counts, test: 1 }).success).toBe(false);
  });
});

describe('the text of a message', () => {
  it('is its string, or its parts of text', () => {
    expect(textOf({ role: 'user', content: 'hello' })).toBe('hello');
    const parts = [
      { type: 'text', text: 'hello' },
      { type: 'image_url', image_url: { url: 'data:' } },
      { type: 'text', text: 'world' },
    ];
    expect(textOf({ role: 'user', content: parts })).toBe('hello\nworld');
    expect(textOf({ role: 'assistant', content: null })).toBe('');
    expect(textOf({ role: 'assistant' })).toBe('');
  });
});

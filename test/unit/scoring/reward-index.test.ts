import type { RewardRecord } from '../../../src/schemas/reward';
import { indexRewards } from '../../../src/scoring/reward-index';

const record = (id: string, rest: Partial<RewardRecord> = {}): RewardRecord => ({
  id,
  trajectory: 't1',
  decision: null,
  scorer: 'resolved',
  scorerVersion: '1',
  value: 1,
  by: 'resolved',
  at: '2026-11-24T08:00:00.000Z',
  supersedes: null,
  ...rest,
});
const scoresOf = (records: readonly RewardRecord[], trajectory = 't1'): object =>
  Object.fromEntries(indexRewards(records).get(trajectory) ?? []);

describe('the scores in force', () => {
  it('are kept by trajectory and scorer', () => {
    const records = [
      record('r1', { value: 0 }),
      record('r2', { scorer: 'escalated', value: 1 }),
      record('r3', { trajectory: 't2', value: 0.5 }),
    ];
    expect(scoresOf(records)).toEqual({ resolved: 0, escalated: 1 });
    expect(scoresOf(records, 't2')).toEqual({ resolved: 0.5 });
  });

  it('are those of the record that supersedes another, wherever it stands', () => {
    const original = record('r1', { value: 0 });
    const correction = record('r2', { value: 1, supersedes: 'r1' });
    expect(scoresOf([original, correction])).toEqual({ resolved: 1 });
    expect(scoresOf([correction, original])).toEqual({ resolved: 1 });
  });

  it('are those of the last of a chain of corrections', () => {
    const chain = [
      record('r1', { value: 0 }),
      record('r2', { value: 1, supersedes: 'r1' }),
      record('r3', { value: 0.25, supersedes: 'r2' }),
    ];
    expect(scoresOf(chain)).toEqual({ resolved: 0.25 });
    expect(scoresOf([...chain].reverse())).toEqual({ resolved: 0.25 });
  });

  it('are those of the last written where none supersedes another', () => {
    expect(scoresOf([record('r1', { value: 0 }), record('r2', { value: 1 })])).toEqual({
      resolved: 1,
    });
  });

  it('leave out rewards of single decisions', () => {
    expect(indexRewards([record('r1', { decision: 'chatcmpl-1' })]).size).toBe(0);
  });

  it('are none for no records', () => {
    expect(indexRewards([]).size).toBe(0);
  });
});

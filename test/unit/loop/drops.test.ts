import { decideDrops, sumCounts } from '../../../src/loop/drops';

describe('what infrastructure took from a batch', () => {
  it.each([
    [{ rollouts: 100, drops: {} }, 0.05, 'go-on', 0],
    [{ rollouts: 100, drops: { 'agent-crashed': 5 } }, 0.05, 'go-on', 0.05],
    [{ rollouts: 100, drops: { 'agent-crashed': 3, 'upstream-error': 3 } }, 0.05, 'stop', 0.06],
    [{ rollouts: 1000, drops: { 'agent-crashed': 51 } }, 0.05, 'stop', 0.051],
    [{ rollouts: 3, drops: { 'agent-crashed': 3 } }, 1, 'go-on', 1],
    [{ rollouts: 100, drops: {} }, 0, 'go-on', 0],
    [{ rollouts: 100, drops: { 'agent-crashed': 1 } }, 0, 'stop', 0.01],
    [{ rollouts: 0, drops: {} }, 0.05, 'go-on', 0],
  ])('%j with at most %d: %s', (tally, most, kind, share) => {
    expect(decideDrops(tally, most)).toMatchObject({ kind, share });
  });

  it('is told by reason, the most frequent first', () => {
    const drops = { 'no-decision': 2, 'agent-crashed': 10, 'upstream-error': 3 };
    const verdict = decideDrops({ rollouts: 200, drops }, 0.05);
    expect(verdict).toMatchObject({
      reason:
        'infrastructure lost 15 of 200 rollouts (7.5 %, at most 5.0 % is trained on): ' +
        'agent-crashed 10, upstream-error 3, no-decision 2',
    });
  });
});

describe('the sum of counts', () => {
  it('adds up what has the same name', () => {
    expect(sumCounts([{ a: 1, b: 2 }, {}, { b: 3, c: 4 }])).toEqual({ a: 1, b: 5, c: 4 });
  });

  it('of nothing is nothing, and changes nothing', () => {
    const counts = { a: 1 };
    expect(sumCounts([])).toEqual({});
    sumCounts([counts, counts]);
    expect(counts).toEqual({ a: 1 });
  });
});

import { groupAdvantages } from '../../../src/rl/group-advantages';
import { overlongPenalty } from '../../../src/rl/overlong';
import { preferenceLoss } from '../../../src/rl/preference';
import { discountedReturns, generalizedAdvantages } from '../../../src/rl/returns';

// The values of whole algorithms are held against PyTorch: test/unit/policies/language/algorithms. These are the corners.

const of = (...values: number[]): Float64Array => Float64Array.from(values);

test('returns are what is still to come, discounted', () => {
  expect([...discountedReturns(of(1, 0, 2), 1)]).toEqual([3, 2, 2]);
  expect([...discountedReturns(of(1, 0, 2), 0.5)]).toEqual([1.5, 1, 2]);
  expect([...discountedReturns(of(1, 0, 2), 0)]).toEqual([1, 0, 2]);
  expect([...discountedReturns(of(), 1)]).toEqual([]);
});

test('with λ = 1 an advantage is the return less the value, with λ = 0 one step’s error', () => {
  const [rewards, values] = [of(1, 0, 2), of(0.5, 1, -1)];
  const far = generalizedAdvantages(rewards, values, { discount: 0.5, lambda: 1 });
  expect([...far.advantages]).toEqual([1.5 - 0.5, 1 - 1, 2 + 1]);
  expect([...far.returns]).toEqual([1.5, 1, 2]);
  const near = generalizedAdvantages(rewards, values, { discount: 0.5, lambda: 0 });
  expect([...near.advantages]).toEqual([1 + 0.5 - 0.5, -0.5 - 1, 2 + 1]);
});

test('a group of one, or of equals, has no advantages', () => {
  for (const kind of ['mean', 'std', 'batch-std', 'leave-one-out'] as const) {
    expect(groupAdvantages([of(3), of(2, 2)], kind).map((a) => [...a])).toEqual([[0], [0, 0]]);
  }
  expect(groupAdvantages([], 'batch-std')).toEqual([]);
});

test('length is free, then costs, then costs all', () => {
  const penalty = { maxTokens: 100, cacheTokens: 40 };
  expect([0, 60, 61, 80, 99, 100, 500].map((n) => overlongPenalty(n, penalty))).toEqual([
    ...[0, 0, -1 / 40, -0.5, -39 / 40, -1, -1],
  ]);
});

test('preferences: far apart, loss and slope stay finite', () => {
  const pair = { chosen: 0, rejected: 0, referenceChosen: 0, referenceRejected: 0 };
  const even = preferenceLoss(pair, { beta: 0.1 });
  expect(even.loss).toBeCloseTo(Math.log(2), 12);
  expect(even.weight).toBeCloseTo(-0.05, 12);
  const wrong = preferenceLoss({ ...pair, chosen: -1e6 }, { beta: 0.1 });
  expect([wrong.loss, wrong.weight, wrong.margin]).toEqual([1e5, -0.1, -1e5]);
  const right = preferenceLoss({ ...pair, chosen: 1e6 }, { beta: 0.1 });
  expect([right.loss, Math.abs(right.weight)]).toEqual([0, 0]);
});

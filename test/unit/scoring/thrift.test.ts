import { InvalidInputError } from '../../../src/errors';
import type { Decision } from '../../../src/schemas/decision';
import { composeReward } from '../../../src/scoring/compose';
import type { ScorerInput } from '../../../src/scoring/scorer';
import { costOf, createThriftScorer, thriftOf } from '../../../src/scoring/thrift';

const upstream = { name: 'main', model: 'm', responseId: null };
const score = (decisions: Partial<Decision>[]) =>
  createThriftScorer(100).score({ trajectory: { decisions } } as unknown as ScorerInput);

test('an answer of the policy’s own costs nothing; what an upstream’s cost without a price nobody knows', () => {
  expect(costOf({ costMicros: 12.5, upstream } as Decision)).toBe(12.5);
  expect(costOf({} as Decision)).toBe(0);
  expect(costOf({ upstream } as Decision)).toBeNull();
});

test('is 1 for nothing, 0 for a whole call’s cost and more', () => {
  expect([0, 25, 100, 250].map((cost) => thriftOf(cost, 100))).toEqual([1, 0.75, 0, 0]);
  expect(score([{ costMicros: 25, upstream }, { costMicros: 25, upstream }, {}])).toBe(0.5);
  expect(() => score([{ upstream }])).toThrow(InvalidInputError);
});

test('composed with a resolution it is resolution − λ · cost, up to scale', () => {
  const lambda = 0.2;
  const reward = (resolution: number, cost: number): number =>
    composeReward(
      new Map([
        ['feedback', resolution],
        ['thrift', thriftOf(cost, 100)],
      ]),
      { feedback: 1, thrift: lambda },
    ) as number;
  const scaled = (1 + lambda) * (reward(1, 30) - reward(0, 80));
  expect(scaled).toBeCloseTo(1 - lambda * 0.3 - (0 - lambda * 0.8), 12);
});

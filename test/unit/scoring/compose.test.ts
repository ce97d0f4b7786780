import { InvalidInputError } from '../../../src/errors';
import { composeReward } from '../../../src/scoring/compose';

const scores = (values: Record<string, number>): ReadonlyMap<string, number> =>
  new Map(Object.entries(values));

describe('the composed reward', () => {
  it('is the weighted mean of the scores', () => {
    expect(composeReward(scores({ customer: 1, brevity: 0.5 }), { customer: 3, brevity: 1 })).toBe(
      0.875,
    );
  });

  it('renormalizes the weights over the scorers that apply', () => {
    expect(composeReward(scores({ brevity: 0.5 }), { customer: 3, brevity: 1 })).toBe(0.5);
  });

  it('does not count scores without a weight', () => {
    expect(composeReward(scores({ customer: 1, latency: 900 }), { customer: 2 })).toBe(1);
  });

  it('is null where no weighted scorer applies', () => {
    expect(composeReward(scores({ latency: 900 }), { customer: 1 })).toBeNull();
    expect(composeReward(scores({}), { customer: 1 })).toBeNull();
  });

  it('does not depend on the order in which weights are written, to the last bit', () => {
    const values = scores({ a: 0.1, b: 0.2, c: 0.3 });
    const forwards = composeReward(values, { a: 0.1, b: 0.7, c: 0.3 });
    expect(composeReward(values, { c: 0.3, b: 0.7, a: 0.1 })).toBe(forwards);
  });

  it.each([0, -1, NaN, Infinity])('refuses the weight %d, naming the scorer', (weight) => {
    const compose = (): unknown => composeReward(scores({ customer: 1 }), { customer: weight });
    expect(compose).toThrow(InvalidInputError);
    expect(compose).toThrow('scorer=customer');
  });

  it('refuses a score that is not finite, naming the scorer', () => {
    expect(() => composeReward(scores({ customer: NaN }), { customer: 1 })).toThrow(
      'scorer=customer',
    );
  });
});

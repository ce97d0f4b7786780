import { answerOfCustomer } from '../../../../examples/support-desk/customer';
import { scorers } from '../../../../examples/support-desk/scorers';
import type { Json } from '../../../../src/schemas/json';
import type { ScorerInput } from '../../../../src/scoring/scorer';

const inScope = { intent: 'transfer' };
const outOfScope = { intent: null };

describe('the customer', () => {
  it.each([
    [inScope, { action: 'transfer' }, 'resolved'],
    [inScope, { action: 'balance' }, 'not resolved'],
    [inScope, { action: 'escalate_to_human' }, 'not resolved'],
    [inScope, { action: 'reply', done: 'transfer' }, 'not resolved'],
    [outOfScope, { action: 'escalate_to_human' }, 'resolved'],
    [outOfScope, { action: 'transfer' }, 'not resolved'],
    [outOfScope, { action: 'oos' }, 'not resolved'],
    [inScope, null, 'not resolved'],
    [inScope, 'transfer', 'not resolved'],
    [inScope, {}, 'not resolved'],
  ])('who wanted %j and got %j says: %s', (reference, result, expected) => {
    expect(answerOfCustomer(reference, result)).toBe(expected);
  });
});

describe('the scorers', () => {
  const scoresOf = (reference: Json, result: Json): unknown => {
    const input = { reference: { reference }, result } as ScorerInput;
    return Object.fromEntries(scorers.map((scorer) => [scorer.name, scorer.score(input)]));
  };

  it.each([
    [inScope, 'transfer', { customer: 1, resolution: 1, escalation: null }],
    [inScope, 'balance', { customer: 0, resolution: 0, escalation: null }],
    [outOfScope, 'escalate_to_human', { customer: 1, resolution: null, escalation: 1 }],
    [outOfScope, 'balance', { customer: 0, resolution: null, escalation: 0 }],
  ])('%j answered by %s score %j', (reference, action, expected) => {
    expect(scoresOf(reference, { action })).toEqual(expected);
  });

  it('refuse a reference of another dataset', () => {
    expect(() => scoresOf({ label: 'transfer' }, {})).toThrow('expected {"intent": "…"}');
  });
});

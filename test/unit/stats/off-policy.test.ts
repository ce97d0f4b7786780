import { InvalidInputError } from '../../../src/errors';
import { stream } from '../../../src/rl/counter-rng';
import { estimateOffPolicy, type LoggedChoice } from '../../../src/stats/off-policy';

const CONFIDENCE = { confidence: 0.95 };

/** Two arms drawn evenly, worth 0.8 and 0.4; the policy in question takes the first with probability p. */
function log(n: number, p: number, member: number): LoggedChoice[] {
  const random = stream({ seed: 1, purpose: 'test.off-policy', member });
  return Array.from({ length: n }, () => {
    const isFirst = random.next() < 0.5;
    const reward = random.next() < (isFirst ? 0.8 : 0.4) ? 1 : 0;
    return { propensity: 0.5, probability: isFirst ? p : 1 - p, reward };
  });
}

test('a policy that chooses as the logged one did is worth what that earned, exactly', () => {
  const choices = log(200, 0.5, 1);
  const { value, logged, lower, upper, effectiveN, refusal } = estimateOffPolicy(
    choices,
    CONFIDENCE,
  );
  expect(value).toBe(logged);
  expect(effectiveN).toBeCloseTo(200, 9);
  expect([lower, upper, refusal]).toEqual([expect.closeTo(0, 12), expect.closeTo(0, 12), null]);
});

test('a policy that takes the better arm more often is worth more, and the bounds hold as often as they say', () => {
  const truth = 0.9 * 0.8 + 0.1 * 0.4 - 0.6;
  const runs = Array.from({ length: 400 }, (_, i) =>
    estimateOffPolicy(log(300, 0.9, i), CONFIDENCE),
  );
  const mean = runs.reduce((sum, { value, logged }) => sum + value - logged, 0) / runs.length;
  expect(mean).toBeCloseTo(truth, 2);
  const above = runs.filter(({ lower }) => (lower as number) > truth).length / runs.length;
  const below = runs.filter(({ upper }) => (upper as number) < truth).length / runs.length;
  for (const share of [above, below]) {
    expect(share).toBeGreaterThan(0.02);
    expect(share).toBeLessThan(0.09);
  }
});

test('refuses where it cannot know', () => {
  const refusal = (choices: LoggedChoice[]): string | null =>
    estimateOffPolicy(choices, CONFIDENCE).refusal;
  expect(refusal(log(29, 0.5, 1))).toContain('too few');
  const rare = Array.from({ length: 100 }, (_, i) => ({
    propensity: 0.5,
    probability: i < 5 ? 1 : 0,
    reward: 1,
  }));
  expect(refusal(rare)).toContain('too few of the logged choices');
  const heavy = [...log(99, 0.5, 2), { propensity: 0.04, probability: 0.8, reward: 1 }];
  expect(refusal(heavy)).toContain('of all weight');
  const none = log(40, 0.5, 3).map((choice) => ({ ...choice, probability: 0 }));
  expect(estimateOffPolicy(none, CONFIDENCE)).toMatchObject({ lower: null, upper: null });
  expect(refusal(none)).toContain('none of the choices');
  expect(() => estimateOffPolicy([], CONFIDENCE)).toThrow(InvalidInputError);
});

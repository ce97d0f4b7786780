import { InvalidInputError } from '../../../../src/errors';
import { actingDistribution, draw } from '../../../../src/policies/choice/distribution';
import { stream } from '../../../../src/rl/counter-rng';

const logits = Float32Array.of(1, -2, 0.5, 3, 0);
const available = Int32Array.of(0, 2, 3, 4);

describe('acting', () => {
  it('draws arms as often as their propensities say, and never a masked one', () => {
    const p = actingDistribution(logits, available, { temperature: 1, floor: 0.1 });
    const random = stream({ seed: 5, purpose: 'test' });
    const counts = new Map<number, number>();
    const n = 100_000;
    for (let i = 0; i < n; i++) {
      const { arm, propensity } = draw(p, available, random.next());
      if (propensity !== p[available.indexOf(arm)]) throw new Error(`arm ${arm}: ${propensity}`);
      counts.set(arm, (counts.get(arm) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([...available]);
    for (const [i, arm] of available.entries()) {
      const expected = p[i] as number;
      const deviation = Math.sqrt((expected * (1 - expected)) / n);
      expect(Math.abs((counts.get(arm) as number) / n - expected)).toBeLessThan(4 * deviation);
    }
  });

  it('gives propensities that sum to 1 and are at least the floor’s share', () => {
    for (const temperature of [0.01, 0.3, 1, 10]) {
      const p = actingDistribution(logits, available, { temperature, floor: 0.02 });
      expect(p.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 12);
      expect(Math.min(...p)).toBeGreaterThanOrEqual(0.02 / 4);
    }
  });

  it('is the masked softmax when there is no floor', () => {
    const p = actingDistribution(logits, available, { temperature: 2, floor: 0 });
    const e = [...available].map((arm) => Math.exp((logits[arm] as number) / 2));
    const sum = e.reduce((a, b) => a + b);
    for (const [i, x] of e.entries()) expect(p[i]).toBeCloseTo(x / sum, 12);
  });

  it('takes the most probable available arm at temperature 0, with propensity 1, the first of equals', () => {
    const options = { temperature: 0, floor: 0.5 };
    expect(draw(actingDistribution(logits, available, options), available, 0)).toEqual({
      arm: 3,
      propensity: 1,
    });
    const tie = Float32Array.of(0, 7, 7, 7, 7);
    expect(draw(actingDistribution(tie, available, options), available, 0)).toEqual({
      arm: 2,
      propensity: 1,
    });
  });

  it('never draws an arm whose probability has underflowed to 0, not even at the end of the interval', () => {
    const p = actingDistribution(Float32Array.of(0, 0, 5000), Int32Array.of(0, 1, 2), {
      temperature: 1,
      floor: 0,
    });
    expect([...p]).toEqual([0, 0, 1]);
    for (const uniform of [0, 0.5, 1 - 2 ** -53])
      expect(draw(p, Int32Array.of(0, 1, 2), uniform).arm).toBe(2);
    const q = actingDistribution(Float32Array.of(5000, 0), Int32Array.of(0, 1), {
      temperature: 1,
      floor: 0,
    });
    expect(draw(q, Int32Array.of(0, 1), 1 - 2 ** -53).arm).toBe(0);
  });

  it('refuses when every arm is masked', () => {
    expect(() => actingDistribution(logits, Int32Array.of(), { temperature: 1, floor: 0 })).toThrow(
      InvalidInputError,
    );
  });
});

import { leaveOneOutAdvantages, meanAdvantages } from '../../../src/rl/baselines';

describe('baselines', () => {
  it('subtract the mean of all, or of all others', () => {
    const rewards = Float64Array.of(1, 0, 0, 1, 1);
    expect([...meanAdvantages(rewards)].map((x) => Number(x.toFixed(12)))).toEqual([
      0.4, -0.6, -0.6, 0.4, 0.4,
    ]);
    expect([...leaveOneOutAdvantages(rewards)]).toEqual([0.5, -0.75, -0.75, 0.5, 0.5]);
  });

  it('differ by the factor n / (n - 1)', () => {
    const rewards = Float64Array.of(0.3, 0.9, 0.1);
    const scaled = meanAdvantages(rewards).map((x) => (x * 3) / 2);
    for (const [i, x] of leaveOneOutAdvantages(rewards).entries())
      expect(x).toBeCloseTo(scaled[i] as number, 12);
  });

  it('leave a single reward as it is, and nothing as nothing', () => {
    expect([...leaveOneOutAdvantages(Float64Array.of(0.7))]).toEqual([0.7]);
    expect([...meanAdvantages(Float64Array.of())]).toEqual([]);
  });
});

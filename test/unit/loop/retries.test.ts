import { afterRetries, RETRIES, retryDelayMs, type FailureClass } from '../../../src/loop/retries';

describe('the table of retries', () => {
  it.each<[FailureClass, number, 'park' | 'fail', string]>([
    ['Transient', 125, 'park', '30.0 min'],
    ['WorkerLost', 250, 'park', '8.3 min'], // beside 10 s each until the death is noticed
    ['Unexpected', 5, 'park', '0.3 min'],
    ['NotFound', 1, 'park', '0.0 min'],
    ['Integrity', 1, 'park', '0.0 min'],
    ['Conflict', 1, 'park', '0.0 min'],
    ['Numerical', 1, 'park', '0.0 min'],
    ['Shape', 1, 'park', '0.0 min'],
    ['UnsupportedOp', 1, 'park', '0.0 min'],
    ['InvalidInput', 1, 'fail', '0.0 min'],
  ])('%s: %d attempts, then %s, after %s of waits', (type, attempts, then, minutes) => {
    const rule = RETRIES[type];
    let ms = 0;
    for (let failures = 1; failures < rule.attempts; failures += 1)
      ms += retryDelayMs(rule, failures);
    expect(rule).toMatchObject({ attempts, then });
    expect(`${(ms / 60_000).toFixed(1)} min`).toBe(minutes);
  });

  it('never waits longer than 15 s, so that work goes on soon after an outage', () => {
    for (const rule of Object.values(RETRIES))
      expect(retryDelayMs(rule, 1_000)).toBeLessThanOrEqual(15_000);
    expect([1, 2, 3, 4, 5, 6, 7].map((n) => retryDelayMs(RETRIES.Transient, n))).toEqual([
      500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000,
    ]);
  });

  it('parks what it does not know', () => {
    expect([afterRetries(null), afterRetries('NotFoundError'), afterRetries('toString')]).toEqual([
      'park',
      'park',
      'park',
    ]);
  });
});

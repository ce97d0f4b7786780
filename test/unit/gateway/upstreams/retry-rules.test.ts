import { createRetryBudget } from '../../../../src/gateway/upstreams/retry-budget';
import {
  backOffMs,
  retryAfterMs,
  retryRule,
  type Failure,
} from '../../../../src/gateway/upstreams/retry-rules';

const status = (code: number): Failure => ({ kind: 'status', status: code, retryAfterMs: null });
const fault = (name: 'unreachable' | 'slow' | 'cut' | 'garbage' | 'unavailable'): Failure => ({
  ...{ kind: 'fault', fault: name },
});

describe('what is tried again', () => {
  test.each([
    // failure, other, same, unhealthy
    [fault('unreachable'), true, true, true],
    [fault('slow'), false, false, true],
    [fault('cut'), true, true, true],
    [fault('garbage'), true, false, true],
    [fault('unavailable'), false, false, false],
    ...[408, 409, 425, 429].map((code) => [status(code), true, true, false] as const),
    ...[301, 401, 403].map((code) => [status(code), true, false, true] as const),
    ...[400, 402, 404, 413, 422, 451, 501].map(
      (code) => [status(code), false, false, false] as const,
    ),
    ...[500, 502, 503, 504, 529].map((code) => [status(code), true, true, true] as const),
  ] as const)('%j', (failure, other, same, isUnhealthy) => {
    expect(retryRule(failure, false)).toMatchObject({ other, same, isUnhealthy });
  });

  test('an upstream that is slow is given up for another where the configuration says so', () => {
    expect(retryRule(fault('slow'), true)).toMatchObject({ other: true, same: false });
  });
});

describe('how long an answer asks to wait', () => {
  const NOW = Date.parse('2026-11-25T12:00:00Z');
  test.each([
    [{ 'retry-after': '7' }, 7_000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after': 'Wed, 25 Nov 2026 12:00:09 GMT' }, 9_000],
    [{ 'retry-after': 'Wed, 25 Nov 2026 11:00:00 GMT' }, 0],
    [{ 'retry-after': '9', 'retry-after-ms': '150' }, 150],
    [{ 'retry-after': '99999999' }, 86_400_000],
    [{ 'retry-after': '-3' }, 0],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '' }, null],
    [{ 'retry-after-ms': 'x' }, null],
    [{}, null],
  ])('%j', (headers, expected) => {
    expect(retryAfterMs(headers, NOW)).toBe(expected);
  });
});

test('a back-off doubles up to its longest, and is drawn from the upper half', () => {
  const settings = { firstMs: 100, longestMs: 350 };
  expect([1, 2, 3, 99].map((tries) => backOffMs(tries, settings, 1))).toEqual([100, 200, 350, 350]);
  expect(backOffMs(1, settings, 0)).toBe(50);
});

test('of a hundred calls at most a fifth are tried again, beyond what was saved up', () => {
  const budget = createRetryBudget({ ratio: 0.2, burst: 5 });
  let retries = 0;
  for (let call = 0; call < 100; call++) {
    budget.earn();
    while (budget.spend()) retries++;
  }
  expect(retries).toBe(5 + 19); // the first call's share found no room beside the burst
});

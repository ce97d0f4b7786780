import type { AgentExit } from '../../../src/ports/agent-runner';
import {
  type AttemptRecording,
  classifyAttempt,
  classifyPoisoned,
  classifyUnscored,
  isPushedBack,
} from '../../../src/scoring/classify';

const result = { action: 'transfer' };
const exits = {
  returned: { kind: 'returned', result },
  crashed: { kind: 'crashed', detail: 'out of memory' },
  timedOut: { kind: 'timedOut', timeoutMs: 60_000 },
  cancelled: { kind: 'cancelled' },
  unavailable: { kind: 'unavailable', detail: 'nobody listens' },
} as const satisfies Record<AgentExit['kind'], AgentExit>;

const answered = [{}, {}];
const nothing: AttemptRecording = { decisions: [], failures: [] };
const failedWith = (status: number): AttemptRecording['failures'] => [
  { status, detail: 'as recorded' },
];

describe('an attempt is classified', () => {
  // One row per line of the table in src/scoring/classify.ts, and those that tell neighbours apart.
  it.each<[string, AgentExit, Partial<AttemptRecording>, string]>([
    ['cancelled', exits.cancelled, {}, 'infraFailed cancelled'],
    ['cancelled after answers', exits.cancelled, { decisions: answered }, 'infraFailed cancelled'],
    [
      'cancelled after a 503',
      exits.cancelled,
      { failures: failedWith(503) },
      'infraFailed cancelled',
    ],
    ['unavailable', exits.unavailable, {}, 'infraFailed agent-unavailable'],
    [
      'unavailable, after answers to what it took before',
      exits.unavailable,
      { decisions: answered, failures: failedWith(503), pendingCalls: 1 },
      'infraFailed agent-unavailable',
    ],
    ['returned after a decision', exits.returned, { decisions: answered }, 'completed'],
    [
      'returned, its client having retried a 503',
      exits.returned,
      { decisions: answered, failures: failedWith(503) },
      'completed',
    ],
    [
      'returned, having swallowed the 503 of its last call',
      exits.returned,
      { decisions: answered, failures: failedWith(503), lateFailures: 1 },
      'infraFailed upstream-error',
    ],
    [
      'returned, having swallowed a 503 before a refused request',
      exits.returned,
      {
        decisions: answered,
        failures: [...failedWith(503), ...failedWith(400)],
        lateFailures: 2,
      },
      'infraFailed upstream-error',
    ],
    [
      'returned after a refused request, its client having retried a 503 before it',
      exits.returned,
      {
        decisions: answered,
        failures: [...failedWith(503), ...failedWith(400)],
        lateFailures: 1,
      },
      'completed',
    ],
    [
      'returned, with another call still out',
      exits.returned,
      { decisions: answered, pendingCalls: 1 },
      'completed',
    ],
    [
      'returned without a decision, after a 503',
      exits.returned,
      { failures: failedWith(503) },
      'infraFailed upstream-error',
    ],
    ['returned without a decision', exits.returned, {}, 'infraFailed no-decision'],
    [
      'returned without a decision, its request refused',
      exits.returned,
      { failures: failedWith(400) },
      'infraFailed no-decision',
    ],
    [
      'crashed after a 500',
      exits.crashed,
      { failures: failedWith(500) },
      'infraFailed upstream-error',
    ],
    [
      'crashed after answers and a 502',
      exits.crashed,
      { decisions: answered, failures: failedWith(502) },
      'infraFailed upstream-error',
    ],
    [
      'crashed after a lost connection',
      exits.crashed,
      { failures: failedWith(0) },
      'infraFailed upstream-error',
    ],
    [
      'crashed after a rate limit',
      exits.crashed,
      { failures: failedWith(429) },
      'infraFailed upstream-error',
    ],
    [
      'crashed after a request time-out',
      exits.crashed,
      { failures: failedWith(408) },
      'infraFailed upstream-error',
    ],
    [
      'crashed after a conflict',
      exits.crashed,
      { failures: failedWith(409) },
      'infraFailed upstream-error',
    ],
    ['crashed', exits.crashed, {}, 'infraFailed agent-crashed'],
    ['crashed after answers', exits.crashed, { decisions: answered }, 'infraFailed agent-crashed'],
    [
      'crashed, its request refused',
      exits.crashed,
      { failures: failedWith(400) },
      'infraFailed agent-crashed',
    ],
    [
      'deadline while a call was pending',
      exits.timedOut,
      { decisions: answered, pendingCalls: 1 },
      'infraFailed upstream-timeout',
    ],
    [
      'deadline while the first call was pending',
      exits.timedOut,
      { pendingCalls: 1 },
      'infraFailed upstream-timeout',
    ],
    [
      'deadline while a call was pending, after a 503',
      exits.timedOut,
      { failures: failedWith(503), pendingCalls: 1 },
      'infraFailed upstream-timeout',
    ],
    [
      'deadline after a 503',
      exits.timedOut,
      { decisions: answered, failures: failedWith(503) },
      'infraFailed upstream-error',
    ],
    ['deadline without a decision', exits.timedOut, {}, 'infraFailed no-decision'],
    [
      'deadline after answers, none pending',
      exits.timedOut,
      { decisions: answered },
      'policyFailed deadline',
    ],
    [
      'deadline after answers and a refused request',
      exits.timedOut,
      { decisions: answered, failures: failedWith(400) },
      'policyFailed deadline',
    ],
  ])('%s', (_, exit, recording, expected) => {
    const outcome = classifyAttempt(exit, { ...nothing, ...recording });
    expect([outcome.kind, ...('reason' in outcome ? [outcome.reason] : [])].join(' ')).toBe(
      expected,
    );
  });

  it('and a completed one keeps its result', () => {
    const outcome = classifyAttempt(exits.returned, { ...nothing, decisions: answered });
    expect(outcome).toEqual({ kind: 'completed', result });
  });

  it('and a detail tells a person what went wrong', () => {
    const detailOf = (exit: AgentExit, recording: Partial<AttemptRecording>): string => {
      const outcome = classifyAttempt(exit, { ...nothing, ...recording });
      return 'detail' in outcome ? outcome.detail : '';
    };
    expect(detailOf(exits.crashed, { failures: failedWith(503) })).toBe(
      'HTTP 503: as recorded; then the agent crashed: out of memory',
    );
    expect(detailOf(exits.returned, { failures: failedWith(404) })).toContain(
      'HTTP 404: as recorded',
    );
    expect(detailOf(exits.returned, {})).toContain('no call reached the gateway');
    expect(detailOf(exits.timedOut, { pendingCalls: 2 })).toContain('2 call(s) had no answer');
    expect(detailOf(exits.unavailable, {})).toBe('nobody listens');
    const swallowed = { decisions: answered, failures: failedWith(500), lateFailures: 1 };
    expect(detailOf(exits.returned, swallowed)).toBe(
      'HTTP 500: as recorded; then the agent returned without another answered call',
    );
  });
});

describe('what no single execution shows is classified', () => {
  it('a rollout that ended its worker whenever it ran: poisoned, of infrastructure', () => {
    expect(classifyPoisoned(2)).toMatchObject({ kind: 'infraFailed', reason: 'poisoned' });
    expect(classifyPoisoned(2).detail).toContain('died 2 times');
  });

  it('a scorer that threw to the end: unresolved', () => {
    expect(classifyUnscored('judge', { kind: 'threw', detail: 'HTTP 500' })).toEqual({
      ...{ kind: 'unresolved', reason: 'scorer-failed', detail: 'judge: HTTP 500' },
    });
  });

  it('a scorer that took too long to the end: unresolved', () => {
    expect(classifyUnscored('judge', { kind: 'timedOut', timeoutMs: 500 })).toEqual({
      ...{ kind: 'unresolved', reason: 'scorer-timed-out' },
      detail: 'judge: no value within 500 ms',
    });
  });
});

describe('somebody pushes back', () => {
  // Where it is so, the batch asks for less; where not, the next attempt is as good as any.
  it.each<[boolean, string, AgentExit, Partial<AttemptRecording>]>([
    ...[0, 408, 429, 502, 503, 504].map((status): [boolean, string, AgentExit, object] => [
      true,
      `by HTTP ${status}`,
      exits.crashed,
      { failures: failedWith(status) },
    ]),
    [true, 'by never answering', exits.timedOut, { pendingCalls: 1 }],
    [true, 'by being away', exits.unavailable, {}],
    [
      true,
      'in a swallowed 503',
      exits.returned,
      { decisions: answered, failures: failedWith(503), lateFailures: 1 },
    ],
    [false, 'by HTTP 500, which is about one call', exits.crashed, { failures: failedWith(500) }],
    [false, 'by HTTP 409', exits.crashed, { failures: failedWith(409) }],
    [false, 'by a crash', exits.crashed, {}],
    [false, 'by an agent that decides nothing', exits.returned, {}],
    [
      false,
      'in a 503 that was retried',
      exits.returned,
      { decisions: answered, failures: failedWith(503) },
    ],
    [false, 'by a deadline of the policy’s', exits.timedOut, { decisions: answered }],
  ])('%s: %s', (expected, _, exit, rest) => {
    const recording = { ...nothing, ...rest };
    expect(isPushedBack(classifyAttempt(exit, recording), recording)).toBe(expected);
  });
});

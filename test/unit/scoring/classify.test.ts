import type { AgentExit } from '../../../src/ports/agent-runner';
import { type AttemptRecording, classifyAttempt } from '../../../src/scoring/classify';

const result = { action: 'transfer' };
const exits = {
  returned: { kind: 'returned', result },
  crashed: { kind: 'crashed', detail: 'out of memory' },
  timedOut: { kind: 'timedOut', timeoutMs: 60_000 },
  cancelled: { kind: 'cancelled' },
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
    ['returned after a decision', exits.returned, { decisions: answered }, 'completed'],
    [
      'returned, its client having retried a 503',
      exits.returned,
      { decisions: answered, failures: failedWith(503) },
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
  });
});

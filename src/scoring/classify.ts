import type { AgentExit } from '../ports/agent-runner';
import type { AttemptOutcome } from '../schemas/outcome';

/** What the gateway saw of an attempt; a `SessionRecording` is one. */
export interface AttemptRecording {
  /** The calls that were answered. */
  readonly decisions: readonly unknown[];
  /** The calls that were answered with an error. */
  readonly failures: readonly { readonly status: number; readonly detail: string }[];
  /** How many of the failures, counted from the last, no answered call followed; none when left out. */
  readonly lateFailures?: number;
  /** How many calls were neither when the agent's execution ended; none when left out. */
  readonly pendingCalls?: number;
}

/** HTTP statuses that say nothing about the request: the upstream, the way to it, or its limits. 0: it was never reached. */
const UPSTREAM_STATUSES: ReadonlySet<number> = new Set([0, 408, 409, 429]);

const isUpstreamFailure = ({ status }: { readonly status: number }): boolean =>
  UPSTREAM_STATUSES.has(status) || status >= 500;

/** Of those, the ones that say "not now": to ask again at once makes it worse. */
const PUSHING_BACK: ReadonlySet<number> = new Set([0, 408, 429, 502, 503, 504]);

/**
 * How an attempt ended, from how the agent's execution ended and what the gateway recorded of it. The first row that fits
 * decides:
 *
 * | exit        | decisions | the gateway also saw           | outcome                         |
 * |-------------|-----------|--------------------------------|---------------------------------|
 * | cancelled   | any       | anything                       | infraFailed `cancelled`         |
 * | unavailable | any       | anything                       | infraFailed `agent-unavailable` |
 * | returned    | ≥ 1       | an upstream failure, at the end| infraFailed `upstream-error`    |
 * | returned    | ≥ 1       | nothing of the kind            | completed                       |
 * | returned    | 0         | an upstream failure            | infraFailed `upstream-error`    |
 * | returned    | 0         | nothing of the kind            | infraFailed `no-decision`       |
 * | crashed     | any       | an upstream failure            | infraFailed `upstream-error`    |
 * | crashed     | any       | nothing of the kind            | infraFailed `agent-crashed`     |
 * | timedOut    | any       | a call still pending           | infraFailed `upstream-timeout`  |
 * | timedOut    | any       | an upstream failure            | infraFailed `upstream-error`    |
 * | timedOut    | 0         | nothing of the kind            | infraFailed `no-decision`       |
 * | timedOut    | ≥ 1       | nothing of the kind            | policyFailed `deadline`         |
 *
 * and three that no single execution can show:
 *
 * | what happened                                                       | outcome                       |
 * |---------------------------------------------------------------------|-------------------------------|
 * | the worker process died while it ran this rollout alone, repeatedly | infraFailed `poisoned`        |
 * | a scorer threw, however often it was asked                          | unresolved `scorer-failed`    |
 * | a scorer did not answer in time, however often it was asked         | unresolved `scorer-timed-out` |
 *
 * Only `deadline` blames the policy: it was asked, it answered every time, and the agent was still not done. Where the cause
 * is in doubt, infrastructure is blamed: a retry costs time, a wrong 0 teaches something false. An upstream failure is HTTP
 * 408, 409, 429, 5xx, or no answer at all. A client that retried it, was answered and then returned has completed; one that
 * returned although no answered call followed it swallowed the failure, and its result is what the failure made of it.
 * Of calls made side by side, one that failed for good is not noticed where another was answered later.
 */
export function classifyAttempt(exit: AgentExit, recording: AttemptRecording): AttemptOutcome {
  const { decisions, failures, lateFailures = 0, pendingCalls = 0 } = recording;
  const upstreamError = lastUpstreamError(failures);
  switch (exit.kind) {
    case 'cancelled':
      return infraFailed('cancelled', 'the attempt was cancelled before its agent was done');
    case 'unavailable':
      return infraFailed('agent-unavailable', exit.detail);
    case 'returned': {
      if (decisions.length === 0)
        return upstreamError ?? infraFailed('no-decision', noDecision('returned', failures));
      const swallowed = lastUpstreamError(failures.slice(failures.length - lateFailures));
      if (swallowed === null) return { kind: 'completed', result: exit.result };
      return infraFailed(
        'upstream-error',
        `${swallowed.detail}; then the agent returned without another answered call`,
      );
    }
    case 'crashed':
      return upstreamError === null
        ? infraFailed('agent-crashed', exit.detail)
        : infraFailed(
            'upstream-error',
            `${upstreamError.detail}; then the agent crashed: ${exit.detail}`,
          );
    case 'timedOut':
      if (pendingCalls > 0) {
        return infraFailed(
          'upstream-timeout',
          `${pendingCalls} call(s) had no answer when the deadline of ${exit.timeoutMs} ms passed`,
        );
      }
      if (upstreamError !== null) return upstreamError;
      if (decisions.length === 0)
        return infraFailed('no-decision', noDecision('ran into its deadline', failures));
      return { kind: 'policyFailed', reason: 'deadline' };
  }
}

/** The outcome of a rollout that ended its worker process each time it ran there, at last with nothing beside it. */
export function classifyPoisoned(deaths: number): InfraFailed {
  return infraFailed(
    'poisoned',
    `the worker process died ${deaths} times while it ran this rollout and nothing else; run the agent as a process of its own, or find what ends it: process.exit, a loop that never yields, memory`,
  );
}

/** Why a scorer gave no value, at last. */
export type ScorerFailure =
  | { readonly kind: 'threw'; readonly detail: string }
  | { readonly kind: 'timedOut'; readonly timeoutMs: number };

/** The outcome of a trajectory that a scorer would not judge: not a 0, and not a reward of the other scorers. */
export function classifyUnscored(scorer: string, failure: ScorerFailure): Unresolved {
  switch (failure.kind) {
    case 'threw':
      return {
        kind: 'unresolved',
        reason: 'scorer-failed',
        detail: `${scorer}: ${failure.detail}`,
      };
    case 'timedOut':
      return {
        kind: 'unresolved',
        reason: 'scorer-timed-out',
        detail: `${scorer}: no value within ${failure.timeoutMs} ms`,
      };
  }
}

/**
 * Whether an attempt failed because somebody takes no more at the moment, the model's upstream or the agent's service. Then
 * other attempts would fare no better, and more of them would make it worse.
 */
export function isPushedBack(
  outcome: AttemptOutcome,
  { failures }: Pick<AttemptRecording, 'failures'>,
): boolean {
  if (outcome.kind !== 'infraFailed') return false;
  switch (outcome.reason) {
    case 'agent-unavailable':
    case 'upstream-timeout':
      return true;
    case 'upstream-error':
      return PUSHING_BACK.has(failures.findLast(isUpstreamFailure)?.status ?? -1);
    default:
      return false;
  }
}

type InfraFailed = Extract<AttemptOutcome, { kind: 'infraFailed' }>;
type Unresolved = Extract<AttemptOutcome, { kind: 'unresolved' }>;

function infraFailed(reason: string, detail: string): InfraFailed {
  return { kind: 'infraFailed', reason, detail };
}

function lastUpstreamError(failures: AttemptRecording['failures']): InfraFailed | null {
  const last = failures.findLast(isUpstreamFailure);
  return last === undefined
    ? null
    : infraFailed('upstream-error', `HTTP ${last.status}: ${last.detail}`);
}

/** Names a refused request: it is why an agent decided nothing, and its author's to mend. */
function noDecision(what: string, failures: AttemptRecording['failures']): string {
  const last = failures.at(-1);
  const why =
    last === undefined ? 'no call reached the gateway' : `HTTP ${last.status}: ${last.detail}`;
  return `the agent ${what} without one answered model call: ${why}`;
}

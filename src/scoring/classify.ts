import type { AgentExit } from '../ports/agent-runner';
import type { AttemptOutcome } from '../schemas/outcome';

/** What the gateway saw of an attempt; a `SessionRecording` is one. */
export interface AttemptRecording {
  /** The calls that were answered. */
  readonly decisions: readonly unknown[];
  /** The calls that were answered with an error. */
  readonly failures: readonly { readonly status: number; readonly detail: string }[];
  /** How many calls were neither when the agent's execution ended; none when left out. */
  readonly pendingCalls?: number;
}

/** HTTP statuses that say nothing about the request: the upstream, the way to it, or its limits. 0: it was never reached. */
const UPSTREAM_STATUSES: ReadonlySet<number> = new Set([0, 408, 409, 429]);

const isUpstreamFailure = (status: number): boolean =>
  UPSTREAM_STATUSES.has(status) || status >= 500;

/**
 * How an attempt ended, from how the agent's execution ended and what the gateway recorded of it. The first row that fits
 * decides:
 *
 * | exit      | decisions | the gateway also saw  | outcome                       |
 * |-----------|-----------|-----------------------|-------------------------------|
 * | cancelled | any       | anything              | infraFailed `cancelled`       |
 * | returned  | ≥ 1       | anything              | completed                     |
 * | returned  | 0         | an upstream failure   | infraFailed `upstream-error`  |
 * | returned  | 0         | nothing of the kind   | infraFailed `no-decision`     |
 * | crashed   | any       | an upstream failure   | infraFailed `upstream-error`  |
 * | crashed   | any       | nothing of the kind   | infraFailed `agent-crashed`   |
 * | timedOut  | any       | a call still pending  | infraFailed `upstream-timeout`|
 * | timedOut  | any       | an upstream failure   | infraFailed `upstream-error`  |
 * | timedOut  | 0         | nothing of the kind   | infraFailed `no-decision`     |
 * | timedOut  | ≥ 1       | nothing of the kind   | policyFailed `deadline`       |
 *
 * Only the last row blames the policy: it was asked, it answered every time, and the agent was still not done. Where the
 * cause is in doubt, infrastructure is blamed: a retry costs time, a wrong 0 teaches something false. An upstream failure
 * is HTTP 408, 409, 429, 5xx, or no answer at all; a client that retried it and then returned has completed.
 */
export function classifyAttempt(exit: AgentExit, recording: AttemptRecording): AttemptOutcome {
  const { decisions, failures, pendingCalls = 0 } = recording;
  const upstream = failures.findLast(({ status }) => isUpstreamFailure(status));
  const upstreamError =
    upstream === undefined
      ? null
      : infraFailed('upstream-error', `HTTP ${upstream.status}: ${upstream.detail}`);
  switch (exit.kind) {
    case 'cancelled':
      return infraFailed('cancelled', 'the attempt was cancelled before its agent was done');
    case 'returned':
      if (decisions.length > 0) return { kind: 'completed', result: exit.result };
      return upstreamError ?? infraFailed('no-decision', noDecision('returned', failures));
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

type InfraFailed = Extract<AttemptOutcome, { kind: 'infraFailed' }>;

function infraFailed(reason: string, detail: string): InfraFailed {
  return { kind: 'infraFailed', reason, detail };
}

/** Names a refused request: it is why an agent decided nothing, and its author's to mend. */
function noDecision(what: string, failures: AttemptRecording['failures']): string {
  const last = failures.at(-1);
  const why =
    last === undefined ? 'no call reached the gateway' : `HTTP ${last.status}: ${last.detail}`;
  return `the agent ${what} without one answered model call: ${why}`;
}

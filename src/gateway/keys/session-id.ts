import { randomUUID } from 'node:crypto';
import { UNNAMED_PREFIX } from '../../schemas/live-session';
import { sha256Hex } from '../../storage/digest';
import type { Redaction } from '../recording/redaction';

// Ids of live sessions are `live/<agent>/<the client's own name>`. An agent's name holds no slash, so no agent can name a session of
// another one; and no session of a rollout starts with `live/` (session-token.ts), so none can name a rollout's either.
export const LIVE_PREFIX = 'live/';
const MAX_NAME_LENGTH = 200;

/** The header by which live traffic names its session, and by which it is told. */
export const SESSION_HEADER = 'x-ratchet-session';

/** The id under which an agent's session is stored. A name that is too long for that is replaced by its hash. */
export function liveSessionId(agent: string, name: string): string {
  return `${LIVE_PREFIX}${agent}/${name.length <= MAX_NAME_LENGTH ? name : sha256Hex(name)}`;
}

/**
 * The id under which a session is stored that somebody names: an agent as it did in its calls, everyone else by its id, in which the
 * agent's own name may stand as it was before it was redacted.
 */
export function storedSessionId(
  redaction: Pick<Redaction, 'sessionName'>,
  agent: string | null,
  named: string,
): string {
  if (agent !== null) return liveSessionId(agent, redaction.sessionName(agent, named));
  const [, owner, name] = /^live\/([^/]+)\/(.+)$/s.exec(named) ?? [];
  if (owner === undefined || name === undefined) return named;
  return liveSessionId(owner, redaction.sessionName(owner, name));
}

export function isLiveSessionOf(agent: string, session: string): boolean {
  return session.startsWith(`${LIVE_PREFIX}${agent}/`);
}

/** The agent that a session's id names; empty for a session of a run, whose id does not say. */
export function agentOfSession(session: string): string {
  return /^(?:live|session)\/([^/]+)\//.exec(session)?.[1] ?? '';
}

/** @param names what the client calls the session, best first; without any, a name that no other request shares. */
export function liveSessionName(names: readonly unknown[]): {
  readonly name: string;
  readonly isNamed: boolean;
} {
  const named = names.find((name) => typeof name === 'string' && name !== '');
  return typeof named === 'string'
    ? { name: named, isNamed: true }
    : { name: `${UNNAMED_PREFIX}${randomUUID()}`, isNamed: false };
}

import type { ChatRequest } from '../schemas/chat';
import type { Sampling } from '../schemas/decision';
import { uniform } from '../rl/counter-rng';
import type { SessionClaims } from './keys/session-token';

/** How many answers the conversation already holds: the number of this exchange between agent and model, from 0. */
export function turnOf(request: ChatRequest): number {
  return request.messages.filter((message) => message.role === 'assistant').length;
}

/**
 * The number in [0, 1) that decides what is sampled. For a rollout it depends on nothing but the session's counters and the turn: the
 * gateway stays stateless, and a client that retries a request, or a worker that runs the rollout again, gets the same answer. Two
 * calls of one session at the same turn (sub-agents) share their draw. Live traffic draws at random.
 */
export function drawOf(claims: SessionClaims | null, turn: number): number {
  const draw = claims?.draw ?? null;
  return draw === null ? Math.random() : uniform({ ...draw, purpose: 'rollout.sample', turn });
}

/** A session's pin wins; else what the request asks for; else 1: the policy as it is, exploration floor included. */
export function samplingOf(
  claims: SessionClaims | null,
  request: Pick<ChatRequest, 'temperature'>,
): Sampling {
  return claims?.sampling ?? { temperature: request.temperature ?? 1 };
}

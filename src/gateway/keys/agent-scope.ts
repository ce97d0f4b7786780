import { badRequest, forbidden } from '../http/request-error';
import type { ApiKeyRecord } from './api-keys';

/** By which a request of a key with several agents says for which of them it is. */
export const AGENT_HEADER = 'x-ratchet-agent';

/** Whether a key may have to do with an agent's sessions. */
export function isInScope({ role, agents }: ApiKeyRecord, agent: string): boolean {
  return agents.includes(agent) || (agents.length === 0 && role !== 'agent');
}

/** @throws {RequestError} 403 */
export function assertInScope(record: ApiKeyRecord, agent: string): void {
  if (isInScope(record, agent)) return;
  throw forbidden('the key may not have to do with this agent', 'agent_out_of_scope');
}

/**
 * In whose name a request of an agent's key is made: its one agent, or the one of several that the request names.
 *
 * @param named what AGENT_HEADER says.
 * @throws {RequestError} 400 if the agent is not clear, 403 if it is not one of the key's.
 */
export function actingAgent(record: ApiKeyRecord, named: string | undefined): string {
  if (named !== undefined && named !== '') {
    assertInScope(record, named);
    return named;
  }
  const [only, ...others] = record.agents;
  if (only !== undefined && others.length === 0) return only;
  throw badRequest(
    `the key is for several agents: expected the header ${AGENT_HEADER} to name one of ${record.agents.join(', ')}`,
    'agent_not_named',
  );
}

import { InvalidInputError, NotFoundError } from '../errors';
import type { ObjectStore } from '../storage/object-store';
import type { ConversationQuery, LiveConversation } from './read-conversations';
import { readConversations } from './read-conversations';

/** So many names are told of those that a beginning fits. */
const TOLD = 5;

/**
 * The conversations of a session, in order: itself and those that continue it.
 *
 * @param name the session's id, the client's own name for it, a conversation's id, the id of a decision or of an upstream's answer, or a
 *   beginning of a session's id or name that no other has.
 * @throws {NotFoundError} if there is none in the range; {InvalidInputError} if a beginning fits several.
 */
export async function findConversations(
  store: ObjectStore,
  query: ConversationQuery,
  name: string,
): Promise<LiveConversation[]> {
  const exact: LiveConversation[] = [];
  let begun: LiveConversation[] = [];
  const roots = new Set<string>();
  const own = `live/${query.agent}/`;
  for await (const conversation of readConversations(store, query)) {
    const { id, sessions, calls } = conversation;
    const names = [id, ...sessions, ...[id, ...sessions].map((one) => shortened(one, own))];
    const ids = calls.flatMap(({ decision }) => [decision.id, decision.upstream?.responseId]);
    if (
      names.includes(name) ||
      ids.includes(name) ||
      exact.some((one) => one.id === conversation.continues)
    ) {
      exact.push(conversation);
    } else if (exact.length === 0 && names.some((one) => one.startsWith(name))) {
      roots.add(rootOf(id));
      if (roots.size <= TOLD) begun.push(conversation);
    }
  }
  if (exact.length > 0) return exact;
  begun = begun.filter((one) => roots.has(rootOf(one.id)));
  if (roots.size === 1) return begun;
  const context = { agent: query.agent, session: name };
  if (roots.size === 0) {
    throw new NotFoundError(
      'there is no such session in this range: expected one of `ratchet sessions list`; --from takes a longer range, e.g. --from 30d',
      { context },
    );
  }
  const told = [...roots].slice(0, TOLD).join(', ');
  throw new InvalidInputError(
    `several sessions begin like this: expected one of ${told}${roots.size > TOLD ? ', …' : ''}`,
    { context },
  );
}

function shortened(session: string, own: string): string {
  return session.startsWith(own) ? session.slice(own.length) : session;
}

/** Of a continuation the conversation that was first. */
function rootOf(id: string): string {
  return id.replace(/~\d+$/, '');
}

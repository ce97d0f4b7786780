import { createHash } from 'node:crypto';
import type { Caller } from '../model-call';
import type { ProtocolCall } from '../protocols/protocol';

/**
 * Calls of one key go to the same upstream while it is well, whose prefix cache then knows their beginning. That is the session where the
 * client named it; else how its conversation begins, up to the first thing that its user said, which every later turn repeats.
 */
export function stickyKey(
  { agent, session, isNamed }: Caller,
  { request, toolset, text }: ProtocolCall,
): string {
  if (isNamed) return session;
  const { messages, model } = request;
  const firstUser = messages.findIndex(({ role }) => role === 'user');
  // A call without messages begins with its text, so that such calls are spread.
  const beginning =
    messages.length === 0 ? text : messages.slice(0, firstUser + 1 || messages.length);
  const hash = createHash('sha256').update(JSON.stringify([agent, model, toolset?.id, beginning]));
  return hash.digest('base64url');
}

import { ESCALATE } from './desk';
import type { DeskReference } from './reference';

/** All that a customer ever says. Which tool would have been right, they do not know to say. */
export type CustomerAnswer = 'resolved' | 'not resolved';

/**
 * The simulated customer. One whose request the desk can handle is content if and only if the right tool was called; one
 * whose request it cannot, if and only if they were handed over to a human.
 *
 * @param result what the agent returned; anything without an `action` resolves nothing.
 */
export function answerOfCustomer({ intent }: DeskReference, result: unknown): CustomerAnswer {
  const action =
    typeof result === 'object' && result !== null && 'action' in result ? result.action : null;
  return action === (intent ?? ESCALATE) ? 'resolved' : 'not resolved';
}

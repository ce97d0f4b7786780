import type { ObjectStore } from '../storage/object-store';
import { factsOf } from './call-facts';
import type { LiveDecision, LiveFilter, LiveQuery } from './read-live-decisions';
import { readLiveDecisions } from './read-live-decisions';
import type { CallLink, Conversation, StitchOptions } from './stitch';
import { Stitcher } from './stitch';

/** One call in its place, with all that is known of it. */
export interface ConversationCall extends LiveDecision {
  readonly link: CallLink;
  /** Nobody went on from its answer, because its client asked again: it teaches nothing. */
  readonly isUnconsumed: boolean;
}

export interface LiveConversation extends Omit<Conversation, 'calls'> {
  readonly agent: string;
  readonly calls: readonly ConversationCall[];
  /** Whether it was idle for so long before the range ended that nothing can be added to it. */
  readonly isClosed: boolean;
}

/** @param filter conversations with a call for which all of it holds. */
export type ConversationQuery = LiveQuery & StitchOptions;

/**
 * The conversations of an agent's live calls, each once it is closed, in the order of their last answers; at last those that are open when the
 * range ends. What was said before the range began is not there: begin it earlier by as long as conversations last.
 *
 * In memory are the conversations that are open at one time, the hashes of the answers of `rememberMs`, and what `readLiveDecisions` keeps.
 *
 * @throws {IntegrityError} if a segment or a record of feedback is damaged.
 */
export async function* readConversations(
  store: ObjectStore,
  { filter = {}, ...query }: ConversationQuery,
): AsyncGenerator<LiveConversation> {
  const stitcher = new Stitcher(query);
  const waiting = new Map<string, LiveDecision>();
  const ready = function* (
    all: readonly Conversation[],
    isClosed: boolean,
  ): Generator<LiveConversation> {
    for (const conversation of all) {
      const calls: ConversationCall[] = [];
      for (const { facts, link, isUnconsumed } of conversation.calls) {
        const live = waiting.get(facts.id);
        waiting.delete(facts.id);
        if (live !== undefined) calls.push({ ...live, link, isUnconsumed });
      }
      if (!calls.some((call) => isMeant(call, conversation, filter))) continue;
      yield { ...conversation, agent: query.agent, calls, isClosed };
    }
  };
  for await (const live of readLiveDecisions(store, query)) {
    waiting.set(live.decision.id, live);
    yield* ready(stitcher.add(factsOf(live)), true);
  }
  yield* ready(stitcher.closeBefore(query.toMs - stitcher.idleMs), true);
  yield* ready(stitcher.end(), false);
}

function isMeant(
  { session, decision, feedback, sessionFeedback }: ConversationCall,
  { id }: Conversation,
  filter: LiveFilter,
): boolean {
  const isOr = (wanted: string | undefined, ...got: (string | null | undefined)[]): boolean =>
    wanted === undefined || got.includes(wanted);
  const isSaid = feedback.length + sessionFeedback.length > 0;
  return (
    isOr(filter.session, session, id) &&
    isOr(filter.model, decision.upstream?.model) &&
    isOr(filter.upstream, decision.upstream?.name) &&
    isOr(filter.policy, decision.policy) &&
    (filter.hasFeedback === undefined || filter.hasFeedback === isSaid)
  );
}

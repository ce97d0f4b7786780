import type { FeedbackRecord } from '../schemas/feedback';
import { scoresOf } from './feedback-index';
import type { LiveConversation } from './read-conversations';

/** A conversation in one line. */
export interface ConversationSummary {
  readonly id: string;
  readonly agent: string;
  readonly continues: string | null;
  readonly isClosed: boolean;
  readonly firstAt: string;
  readonly lastAt: string;
  readonly calls: number;
  readonly unconsumed: number;
  /** Policies and the models of upstreams that answered. */
  readonly models: readonly string[];
  /** What it was scored as a whole; its last decision's score where nobody scored the whole. */
  readonly scores: Readonly<Record<string, number>>;
  /** Records of feedback that are in force, on answers or the whole. */
  readonly feedback: number;
  /** null where no upstream said. */
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  /** Millionths of the unit of money that the gateway's prices are in; null where no price is known. */
  readonly costMicros: number | null;
}

export function summarize(conversation: LiveConversation): ConversationSummary {
  const { id, agent, continues, isClosed, calls } = conversation;
  const decisions = calls.map(({ decision }) => decision);
  const times = decisions.map(({ at }) => at);
  const said = feedbackOn(conversation);
  const models = decisions.map(({ upstream, policy }) =>
    upstream === undefined ? `ratchet/${policy ?? '?'}` : `${upstream.name}/${upstream.model}`,
  );
  return {
    ...{ id, agent, continues, isClosed, calls: calls.length, feedback: said.length },
    ...{ firstAt: times[0] ?? '', lastAt: times.at(-1) ?? '' },
    unconsumed: calls.filter((call) => call.isUnconsumed).length,
    models: [...new Set(models)].sort(),
    scores: Object.fromEntries(
      scoresOf([
        ...calls.flatMap(({ feedback }) => feedback),
        ...calls.flatMap(({ sessionFeedback }) => sessionFeedback),
      ]),
    ),
    promptTokens: sum(decisions.map(({ usage }) => usage?.promptTokens)),
    completionTokens: sum(decisions.map(({ usage }) => usage?.completionTokens)),
    costMicros: sum(decisions.map(({ costMicros }) => costMicros)),
  };
}

/** Each record once: one on a session comes with each of its calls. */
export function feedbackOn({ calls }: LiveConversation): FeedbackRecord[] {
  const all = calls.flatMap(({ feedback, sessionFeedback }) => [...feedback, ...sessionFeedback]);
  return [...new Map(all.map((record) => [record.id, record])).values()];
}

/** null if none of them is known. */
function sum(values: readonly (number | undefined)[]): number | null {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0);
}

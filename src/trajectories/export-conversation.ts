import type { SessionRecording } from '../gateway/recording/batch-recorder';
import { messageId } from '../gateway/recording/message-id';
import type { Decision } from '../schemas/decision';
import type { FeedbackRecord } from '../schemas/feedback';
import type { Message, Tool } from '../schemas/message';
import type { Trajectory } from '../schemas/trajectory';
import { feedbackOn } from './conversation-summary';
import type { ConversationCall, LiveConversation } from './read-conversations';
import type { CallLink } from './stitch';

/** A conversation as `ratchet runs export` gives a trajectory: its messages with each decision, and its feedback beside it. */
export interface ExportedConversation {
  readonly type: 'trajectory';
  readonly agent: string;
  readonly continues: string | null;
  readonly isClosed: boolean;
  readonly isMixed: boolean;
  readonly trajectory: Omit<Trajectory, 'decisions'> & {
    readonly decisions: readonly (Decision & {
      readonly messages: readonly Message[];
      readonly answer: Message;
      /** The other choices, where the request asked for several. */
      readonly otherAnswers: readonly Message[];
      readonly link: CallLink;
      readonly isUnconsumed: boolean;
    })[];
  };
  readonly rewards: readonly FeedbackRecord[];
}
export type ExportedConversationLine =
  | ExportedConversation
  | { readonly type: 'toolset'; readonly id: string; readonly tools: readonly Tool[] };

/** @param written ids of the toolsets that a line gave already; grows. */
export function* exportedLines(
  conversation: LiveConversation,
  written: Set<string>,
): Generator<ExportedConversationLine> {
  const { id, agent, continues, isClosed, calls } = conversation;
  for (const { decision, tools } of calls) {
    if (decision.toolset === null || tools === null || written.has(decision.toolset)) continue;
    written.add(decision.toolset);
    yield { type: 'toolset', id: decision.toolset, tools };
  }
  yield {
    ...{ type: 'trajectory', agent, continues, isClosed, isMixed: isMixed(conversation) },
    trajectory: {
      ...{ id, agent, task: null, attempt: 1, member: 0, outcome: null },
      decisions: calls.map(inline),
    },
    rewards: feedbackOn(conversation),
  };
}

function inline(
  call: ConversationCall,
  index: number,
): ExportedConversation['trajectory']['decisions'][number] {
  const { decision, messages, answer, alternatives, link, isUnconsumed } = call;
  const said = { messages, answer, otherAnswers: alternatives };
  return { ...decision, sequence: index + 1, ...said, link, isUnconsumed };
}

/** Whether a policy answered with several checkpoints in it: nobody can say which of them its feedback is about. */
export function isMixed({ calls }: LiveConversation): boolean {
  const checkpoints = new Map<string, Set<string>>();
  for (const { decision } of calls) {
    if (decision.policy === null || decision.checkpoint === null) continue;
    const known = checkpoints.get(decision.policy) ?? new Set();
    checkpoints.set(decision.policy, known.add(decision.checkpoint));
  }
  return [...checkpoints.values()].some(({ size }) => size > 1);
}

/** What a rollout leaves, of a conversation: a segment can be written of it, and the loop trains on that as on any other. */
export interface TrainingTrajectory {
  readonly trajectory: Trajectory;
  readonly recording: SessionRecording;
}

/**
 * A conversation as the loop knows trajectories, without what may not be trained on: answers that nobody went on from, and decisions whose
 * tokens stood for secrets. Null if nothing is left.
 */
export function toTrainingTrajectory({
  id,
  agent,
  calls,
}: LiveConversation): TrainingTrajectory | null {
  const kept = calls.filter(
    (call) => !call.isUnconsumed && call.decision.untrainable === undefined,
  );
  if (kept.length === 0) return null;
  const decisions = kept.map(({ decision }, i) => ({ ...decision, sequence: i + 1 }));
  const messages = new Map<string, Message>();
  const toolsets = new Map<string, readonly Tool[]>();
  for (const { messages: said, answer, alternatives, tools, decision } of kept) {
    for (const [i, message] of said.entries())
      messages.set(decision.context[i] ?? messageId(message), message);
    messages.set(decision.output, answer);
    for (const [i, message] of alternatives.entries())
      messages.set(decision.alternatives?.[i] ?? messageId(message), message);
    if (decision.toolset !== null && tools !== null) toolsets.set(decision.toolset, tools);
  }
  return {
    trajectory: { id, agent, task: null, attempt: 1, member: 0, outcome: null, decisions },
    recording: { decisions, messages, toolsets, failures: [], lateFailures: 0, pendingCalls: 0 },
  };
}

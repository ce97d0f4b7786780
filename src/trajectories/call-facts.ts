import { isUnnamedSession } from '../schemas/live-session';
import type { Message } from '../schemas/message';
import { sha256Hex } from '../storage/digest';
import { essenceOf, isInstruction } from './essence';
import type { LiveDecision } from './read-live-decisions';

/** What is known of one call that may tell which conversation it belongs to. Hashes only, so that many calls can be remembered. */
export interface CallFacts {
  readonly id: string;
  readonly session: string;
  /** Whether its client named the session. */
  readonly isNamed: boolean;
  /** When it was answered, in milliseconds since 1970. */
  readonly atMs: number;
  /** All that was said before the answer, instructions left out: they may hold the time of day. */
  readonly question: string;
  /** Instructions and tools: a sub-agent has its own. */
  readonly setting: string;
  /** The ways in which its answer can be found again, one of each per choice. */
  readonly answers: readonly AnswerTrace[];
  /** The assistant's messages in its request, the latest first. */
  readonly heard: readonly AnswerTrace[];
  /** Under these a later call may name it; ours and the upstream's. */
  readonly ids: readonly string[];
  readonly previousId: string | null;
  /** A conversation that an upstream holds. */
  readonly conversationId: string | null;
}

export interface AnswerTrace {
  /** The whole of what was said up to and with the answer. */
  readonly whole: string;
  /** The answer and what was said right before it: what is left where a client sends only the end of a conversation; null if that is nothing. */
  readonly pair: string | null;
}

export function factsOf({
  session,
  decision,
  messages,
  answer,
  alternatives,
}: LiveDecision): CallFacts {
  const said = messages.filter((message) => !isInstruction(message));
  const heard: AnswerTrace[] = [];
  let chain = '';
  let before = '';
  for (const message of said) {
    const trace = traceOf(chain, before, message);
    chain = trace.whole;
    before = essenceOf(message);
    if (message.role === 'assistant') heard.push(trace);
  }
  const { upstream } = decision;
  const responseId = upstream?.responseId ?? null;
  return {
    id: decision.id,
    session,
    isNamed: !isUnnamedSession(session),
    atMs: Date.parse(decision.at),
    question: chain,
    setting: sha256Hex([...messages.filter(isInstruction).map(essenceOf), decision.toolset].join()),
    answers: [answer, ...alternatives].map((message) => traceOf(chain, before, message)),
    heard: heard.reverse(),
    ids: responseId === null ? [decision.id] : [decision.id, responseId],
    previousId: upstream?.previousId ?? null,
    conversationId:
      upstream?.conversationId === undefined ? null : `${upstream.name} ${upstream.conversationId}`,
  };
}

function traceOf(chain: string, before: string, message: Message): AnswerTrace {
  const essence = essenceOf(message);
  return {
    whole: sha256Hex(`${chain} ${essence}`),
    pair: before === '' ? null : sha256Hex(`pair ${before} ${essence}`),
  };
}

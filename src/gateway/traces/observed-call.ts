import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Decision } from '../../schemas/decision';
import { Message, Tool } from '../../schemas/message';
import { canonicalJson } from '../../storage/canonical-json';
import { sha256Hex } from '../../storage/digest';
import { toOrdinary } from '../http/json-body';
import { RequestError } from '../http/request-error';
import { CALL_BYTES, createResponseId } from '../keys/response-id';
import { liveSessionId } from '../keys/session-id';
import { messageId } from '../recording/message-id';
import type { RecordedCall } from '../recording/recorder';
import type { Redaction } from '../recording/redaction';
import type { ObservedSpan } from './read-spans';
import { UnusableSpan } from './unusable-span';

export interface ObservedCallDeps {
  readonly signingKey: Uint8Array;
  readonly redaction: Redaction;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const MAX_NAME_LENGTH = 1_024;
/** Models, providers, reasons: manifests list some of them. */
const MAX_WORD_LENGTH = 256;
const DAY_MS = 24 * 3_600_000;
/** Spans that are older would each begin a segment of an hour that is long over. */
const MAX_AGE_MS = 7 * DAY_MS;
const MAX_AHEAD_MS = 3_600_000;

const Messages = z.array(Message);
const Tools = z.array(Tool);

/**
 * A model call that somebody else's trace tells of, as a decision. Its id is made of the trace's and the span's, its time is the span's end:
 * whoever sends the span again gives the same decision, and readers count each once.
 *
 * @throws {UnusableSpan}
 */
export function describeObserved(
  { signingKey, redaction, now }: ObservedCallDeps,
  agent: string,
  observed: ObservedSpan,
): RecordedCall {
  const { span, conversation, user, usage, temperature } = observed;
  const { traceId, spanId, startNs, endNs } = span;
  if (traceId === '' || spanId === '') {
    throw new UnusableSpan(
      'its traceId or spanId is not valid: expected 16 and 8 bytes, not all 0',
    );
  }
  const endMs = endOf(endNs, now());
  const name = conversation ?? traceId;
  if (name.length > MAX_NAME_LENGTH) {
    throw new UnusableSpan(
      `its conversation’s id is too long: expected at most ${MAX_NAME_LENGTH} characters`,
    );
  }
  const session = liveSessionId(agent, redaction.sessionName(agent, name));
  const { input, output, tools } = readable(observed);
  const messages = new Map<string, Message>();
  const add = (message: Message): string => {
    const id = messageId(message);
    messages.set(id, message);
    return id;
  };
  const [answer = '', ...alternatives] = output.map(add);
  const said = redaction.json(agent, {
    ...{ provider: word(observed.provider), model: word(observed.model) },
    responseId: observed.responseId === null ? null : word(observed.responseId),
    finishReason: observed.finishReason === null ? null : word(observed.finishReason),
  });
  const decision: Decision = {
    id: createResponseId(signingKey, {
      ...{ agent, session, isDecision: true, call: callOf(signingKey, agent, traceId, spanId) },
    }),
    // Only an order: readers number the calls of a session.
    sequence: input.filter(({ role }) => role === 'assistant').length + 1,
    ...{ policy: null, checkpoint: null, context: input.map(add), usage },
    toolset: tools.length === 0 ? null : sha256Hex(canonicalJson(tools)),
    output: answer,
    ...(alternatives.length === 0 ? {} : { alternatives }),
    upstream: { name: said.provider, model: said.model, responseId: said.responseId },
    sampled: { kind: 'text', finishReason: said.finishReason, tokens: null },
    sampling: { temperature: Math.min(Math.max(temperature ?? 1, 0), 10) },
    latencyMs: startNs === null || endNs === null ? 0 : Math.max(0, Number(endNs - startNs) / 1e6),
    at: new Date(endMs).toISOString(),
    observed: { traceId, spanId },
  };
  return {
    ...{ agent, session, decision, messages },
    tools: tools.length === 0 ? null : tools,
    ...(user === null ? {} : { user }),
  };
}

function word(text: string): string {
  return toOrdinary(text.slice(0, MAX_WORD_LENGTH)) as string;
}

/** @returns milliseconds since 1970. */
function endOf(endNs: bigint | null, nowMs: number): number {
  if (endNs === null) throw new UnusableSpan('it has not ended: expected endTimeUnixNano');
  const ms = Number(endNs / 1_000_000n);
  if (ms >= nowMs - MAX_AGE_MS && ms <= nowMs + MAX_AHEAD_MS) return ms;
  throw new UnusableSpan('it did not end within the last 7 days');
}

/** Messages and tools as segments can hold them: one that is none would make the segment unreadable. */
function readable({ input, output, tools }: ObservedSpan): {
  readonly input: Message[];
  readonly output: Message[];
  readonly tools: Tool[];
} {
  try {
    return {
      input: Messages.parse(toOrdinary(input)),
      output: Messages.parse(toOrdinary(output)),
      tools: Tools.parse(toOrdinary(tools)),
    };
  } catch (cause) {
    if (!(cause instanceof z.ZodError || cause instanceof RequestError)) throw cause;
    throw new UnusableSpan('its messages or tools are not as its convention says', { cause });
  }
}

/** Keyed, as all that response ids hold. */
function callOf(key: Uint8Array, ...parts: readonly string[]): Uint8Array {
  const hmac = createHmac('sha256', key).update('observed-span\n').update(parts.join(' '));
  return hmac.digest().subarray(0, CALL_BYTES);
}

import type { Decision } from '../../../src/schemas/decision';
import type { FeedbackRecord } from '../../../src/schemas/feedback';
import type { LiveLine } from '../../../src/schemas/live-line';
import type { Message } from '../../../src/schemas/message';
import { messageId } from '../../../src/gateway/recording/message-id';
import { encodeJsonLine } from '../../../src/storage/json-objects';
import { liveSegmentKey, rewardsKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { sha256Hex } from '../../../src/storage/digest';
import { tools } from '../gateway/gateway-fixture';
import { recordedCall } from '../gateway/recorded-call';

export const DAY = '2026-11-23';
export const at = (time: string): string => new Date(`${DAY}T${time}Z`).toISOString();
export const ms = (time: string): number => Date.parse(at(time));

export interface Said {
  readonly session: string;
  readonly decision: Partial<Decision> & { readonly id: string; readonly at: string };
  readonly messages?: readonly Message[];
  readonly answer?: Message;
}

export const user = (content: string): Message => ({ role: 'user', content });
export const assistant = (content: string): Message => ({ role: 'assistant', content });

/** A decision of an upstream with real message ids. */
export function decisionOf({
  decision,
  messages = [user('why?')],
  answer = assistant('so'),
}: Said): Decision {
  return {
    ...recordedCall({
      toolset: null,
      context: messages.map(messageId),
      output: messageId(answer),
    }).decision,
    ...decision,
  };
}

/** Lines of one segment. */
export function segmentLines(said: readonly Said[], agent = 'desk'): LiveLine[] {
  const messages = new Map<string, Message>();
  const sessions = new Map<string, Decision[]>();
  for (const one of said) {
    for (const message of [...(one.messages ?? [user('why?')]), one.answer ?? assistant('so')]) {
      messages.set(messageId(message), message);
    }
    sessions.set(one.session, [...(sessions.get(one.session) ?? []), decisionOf(one)]);
  }
  const rest = { agent, task: null, attempt: 1, member: 0, outcome: null };
  return [
    { type: 'toolset', id: 'toolset', tools: [...tools] },
    ...Array.from(messages, ([id, message]): LiveLine => ({ type: 'message', id, message })),
    ...Array.from(sessions, ([id, decisions]): LiveLine => ({
      type: 'trajectory',
      trajectory: { id, ...rest, decisions },
    })),
  ];
}

/** Puts a segment as a drain does, but lists it nowhere. */
export async function putSegment(
  store: ObjectStore,
  name: string,
  said: readonly Said[],
  agent = 'desk',
): Promise<string> {
  const time = new Date(said[0]?.decision.at ?? '');
  const key = liveSegmentKey(agent, time.toISOString().slice(0, 10), time.getUTCHours(), name);
  const text = segmentLines(said, agent).map(encodeJsonLine).join('');
  await store.put(key, new TextEncoder().encode(text), { ifAbsent: true });
  return key;
}

export function feedback(
  overrides: Partial<FeedbackRecord> & { readonly at: string },
): FeedbackRecord {
  return {
    ...{ id: `k.${overrides.at}`, trajectory: 'live/desk/s', decision: null, scorer: 'feedback' },
    ...{ scorerVersion: '1', value: 1, by: 'key:k', supersedes: null },
    ...overrides,
  };
}

export async function putFeedback(store: ObjectStore, record: FeedbackRecord): Promise<void> {
  const key = rewardsKey(record.at.slice(0, 10), sha256Hex(record.id));
  await store.put(key, new TextEncoder().encode(encodeJsonLine(record)));
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

import type { FeedbackRecord } from '../src/schemas/feedback';
import { textOf, type Message } from '../src/schemas/message';
import {
  feedbackOn,
  summarize,
  type ConversationSummary,
} from '../src/trajectories/conversation-summary';
import type { ConversationCall, LiveConversation } from '../src/trajectories/read-conversations';
import { terminalText } from './terminal-text';
import { textTable } from './text-table';

export function renderSummaries(found: readonly ConversationSummary[]): string {
  return textTable(
    ['session', 'began', 'last', 'calls', 'answered by', 'scores', 'tokens', 'cost', 'state'],
    found.map((one) => [
      terminalText(one.id, 60),
      `${one.firstAt.slice(0, 19)}Z`,
      one.lastAt.slice(11, 19),
      String(one.calls),
      terminalText(one.models.join(' '), 40),
      scoresText(one.scores, one.feedback),
      tokensText(one),
      costText(one.costMicros),
      one.isClosed ? 'closed' : 'open',
    ]),
  );
}

export interface RenderOptions {
  /** Texts are shown whole. */
  readonly isFull: boolean;
}

/** A conversation as the tree that it is: an answer that several calls went on from has several branches. */
export function renderConversation(
  conversation: LiveConversation,
  { isFull }: RenderOptions,
): string {
  const { calls, continues, sessions } = conversation;
  const summary = summarize(conversation);
  const whole = feedbackOn(conversation).filter(
    ({ id }) => !calls.some(({ feedback }) => feedback.some((record) => record.id === id)),
  );
  const head = [
    `session   ${terminalText(summary.id)}`,
    ...(continues === null ? [] : [`continues ${terminalText(continues)}`]),
    ...(sessions.length < 2 ? [] : [`calls of  ${sessions.length} sessions that no client named`]),
    `time      ${summary.firstAt} to ${summary.lastAt}, ${summary.isClosed ? 'closed' : 'open'}`,
    `calls     ${summary.calls}, tokens ${tokensText(summary)}, cost ${costText(summary.costMicros)}`,
    ...whole.map((record) => `feedback  ${feedbackText(record)}`),
  ];
  return [...head, '', ...renderTree(calls, isFull ? Infinity : 160)].join('\n');
}

function renderTree(calls: readonly ConversationCall[], width: number): string[] {
  const byId = new Map(calls.map((call) => [call.decision.id, call]));
  const parentOf = ({ link }: ConversationCall): ConversationCall | undefined =>
    'parent' in link ? byId.get(link.parent) : undefined;
  const children = group(calls, parentOf);
  const lines: string[] = [];
  const number = new Map(calls.map((call, i) => [call, i + 1]));
  // Deepest last: a conversation of thousands of turns is a chain, and no reason for as many stack frames.
  const todo: { readonly call: ConversationCall; readonly indent: string }[] = [];
  const push = (all: readonly ConversationCall[], indent: string): void => {
    for (const call of [...all].reverse()) todo.push({ call, indent });
  };
  push(children.get(undefined) ?? [], '');
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const { call, indent } = next;
    const heading = `${number.get(call) ?? 0}  ${callText(call, parentOf(call))}`;
    lines.push(`${indent}${heading}`);
    for (const line of callLines(call, parentOf(call), width)) lines.push(`${indent}   ${line}`);
    const following = children.get(call) ?? [];
    push(following, following.length > 1 ? `${indent}   ` : indent);
  }
  return lines;
}

function group(
  calls: readonly ConversationCall[],
  parentOf: (call: ConversationCall) => ConversationCall | undefined,
): Map<ConversationCall | undefined, ConversationCall[]> {
  const groups = new Map<ConversationCall | undefined, ConversationCall[]>();
  for (const call of calls) {
    const parent = parentOf(call);
    groups.set(parent, [...(groups.get(parent) ?? []), call]);
  }
  return groups;
}

function callText(call: ConversationCall, parent: ConversationCall | undefined): string {
  const { decision, link } = call;
  const { sampled, upstream, policy, usage } = decision;
  const by =
    upstream === undefined
      ? `ratchet/${policy ?? '?'}`
      : `${upstream.name}/${upstream.model}${policy === null ? '' : ` for ratchet/${policy}`}`;
  return [
    decision.at.slice(11, 19),
    terminalText(by, 60),
    ...(sampled.kind === 'arm'
      ? [`arm ${terminalText(sampled.arm, 40)} (p = ${sampled.propensity.toFixed(3)})`]
      : []),
    ...(decision.observed === undefined ? [] : ['observed']),
    ...(usage === null ? [] : [`${usage.promptTokens}+${usage.completionTokens} tokens`]),
    ...(decision.costMicros === undefined ? [] : [costText(decision.costMicros)]),
    `${(decision.latencyMs / 1_000).toFixed(2)} s`,
    ...(call.isUnconsumed ? ['unconsumed: its client asked again'] : []),
    ...(link.kind === 'ambiguous' ? [`may go on from any of ${link.candidates} sessions`] : []),
    ...('parent' in link && parent === undefined ? ['goes on from the session before'] : []),
  ].join('  ');
}

function callLines(
  call: ConversationCall,
  parent: ConversationCall | undefined,
  width: number,
): string[] {
  const { messages, answer, alternatives, feedback, link } = call;
  // After the answer that it goes on from; where instructions or the beginning changed, all of it.
  const known = parent !== undefined && link.kind === 'answer' ? parent.messages.length + 1 : 0;
  return [
    ...messages.slice(known).map((message) => messageText(message, width)),
    ...[answer, ...alternatives].map((message) => messageText(message, width)),
    ...feedback.map((record) => `feedback: ${feedbackText(record)}`),
    `id: ${terminalText(call.decision.id, 60)}`,
  ];
}

function messageText(message: Message, width: number): string {
  const calls = (message.tool_calls ?? []).map(({ type, function: called }) =>
    called === undefined ? type : `${called.name}(${called.arguments})`,
  );
  const text = [textOf(message), ...calls].filter((part) => part !== '').join(' ');
  return `${message.role}: ${terminalText(text === '' ? '(no text)' : text, width)}`;
}

function feedbackText({ scorer, value, comment, demonstration, by, at }: FeedbackRecord): string {
  return [
    `${terminalText(scorer, 40)} ${value ?? ''}`.trim(),
    ...(comment === undefined ? [] : [`“${terminalText(comment, 160)}”`]),
    ...(demonstration === undefined
      ? []
      : [`better: “${terminalText(textOf(demonstration), 160)}”`]),
    `(${terminalText(by, 60)}, ${at.slice(0, 19)}Z)`,
  ].join(' ');
}

function scoresText(scores: Readonly<Record<string, number>>, feedback: number): string {
  const texts = Object.entries(scores).map(
    ([name, value]) => `${name} ${Number(value.toFixed(3))}`,
  );
  if (texts.length > 0) return terminalText(texts.join(' '), 40);
  return feedback === 0 ? '–' : `(${feedback} comments)`;
}

function tokensText({ promptTokens, completionTokens }: ConversationSummary): string {
  return promptTokens === null ? '–' : `${promptTokens}+${completionTokens ?? 0}`;
}

function costText(micros: number | null): string {
  return micros === null ? '–' : (micros / 1e6).toFixed(6);
}

import type { Message } from '../../../schemas/message';
import { isObject } from '../otlp-span';
import type { Convention } from './observed';
import { list, roleOf, textOr, toolCall, toolOf } from './observed';

const DETAILS = 'gen_ai.client.inference.operation.details';

/**
 * GenAI semantic conventions since 1.37: `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions` and
 * `gen_ai.tool.definitions`, as JSON in attributes or with their structure; of the span, or of its event with the operation's details.
 *
 * Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
 */
export const genAiMessages: Convention = ({ attributes, events }, json) => {
  const details = events.find(({ name }) => name === DETAILS)?.attributes;
  const holder = attributes.has('gen_ai.output.messages') ? attributes : details;
  if (holder === undefined) return null;
  const at = (name: string): unknown => holder.get(name) ?? attributes.get(name);
  const listed = (name: string): readonly unknown[] => json.list(at(name), name);
  const answers = listed('gen_ai.output.messages').filter(isObject);
  return {
    input: [
      ...instructionsOf(json.read(at('gen_ai.system_instructions'))),
      ...listed('gen_ai.input.messages').filter(isObject).flatMap(messagesOf),
    ],
    output: answers.map((answer) => ({ ...contentOf(answer), role: 'assistant' as const })),
    finishReason: textOr(answers[0]?.['finish_reason']),
    tools: listed('gen_ai.tool.definitions').flatMap((tool) => toolOf(tool, json) ?? []),
  };
};

function instructionsOf(value: unknown): Message[] {
  if (typeof value === 'string') return [{ role: 'system', content: value }];
  const text = textOfParts(list(value));
  return text === '' ? [] : [{ role: 'system', content: text }];
}

/** Several results of tools in one message are a message each in the internal form. */
function messagesOf(message: Record<string, unknown>): Message[] {
  const parts = list(message['parts']).filter(isObject);
  const results = parts.filter(({ type }) => type === 'tool_call_response');
  const role = roleOf(message['role']);
  const answered = results.map((part): Message => ({
    role: 'tool',
    content: textOr(part['response'] ?? part['result']) ?? '',
    tool_call_id: textOr(part['id']) ?? '',
  }));
  const hasMore = results.length < parts.length || parts.length === 0;
  return hasMore ? [...answered, { ...contentOf(message), role }] : answered;
}

function contentOf(message: Record<string, unknown>): Pick<Message, 'content' | 'tool_calls'> {
  const { parts, content } = message;
  if (!Array.isArray(parts)) return { content: textOr(content) ?? '' };
  const objects = parts.filter(isObject);
  const calls = objects
    .filter(({ type }) => type === 'tool_call')
    .map(({ id, name, arguments: args }) => toolCall(id, name, args));
  const others = objects.filter(
    ({ type }) => !['text', 'tool_call', 'tool_call_response', 'reasoning'].includes(String(type)),
  );
  const text = textOfParts(parts);
  return {
    content:
      others.length === 0
        ? text
        : [
            ...(text === '' ? [] : [{ type: 'text', text }]),
            ...others.map((part) => ({ ...part, type: String(part['type']) })),
          ],
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

function textOfParts(parts: readonly unknown[]): string {
  return parts
    .map((part) => {
      if (typeof part === 'string') return part;
      return isObject(part) && part['type'] === 'text' ? (textOr(part['content']) ?? '') : '';
    })
    .filter((text) => text !== '')
    .join('\n');
}

import type { Message, Tool, ToolCall } from '../../../schemas/message';
import type { JsonTexts } from '../json-texts';
import type { OtlpSpan } from '../otlp-span';
import { isObject } from '../otlp-span';

/** What one way of writing calls into spans says of the messages of a call. Roles and tool calls may be anybody's still. */
export interface Said {
  /** Oldest first. */
  readonly input: readonly Message[];
  /** One for each choice. */
  readonly output: readonly Message[];
  readonly finishReason: string | null;
  readonly tools: readonly Tool[];
}

/**
 * @returns null where the span says nothing in this way.
 * @throws {UnusableSpan} where what it says cannot be read.
 */
export type Convention = (span: OtlpSpan, json: JsonTexts) => Said | null;

const ROLES: Readonly<Record<string, Message['role']>> = {
  ...{ system: 'system', developer: 'developer', user: 'user', assistant: 'assistant' },
  ...{ tool: 'tool', function: 'function' },
  // LangChain's words, Google's, Cohere's.
  ...{ human: 'user', ai: 'assistant', model: 'assistant', chatbot: 'assistant', bot: 'assistant' },
};

/** @param fallback for words that nobody knows. */
export function roleOf(role: unknown, fallback: Message['role'] = 'user'): Message['role'] {
  const word = typeof role === 'string' ? role.toLowerCase() : '';
  return Object.hasOwn(ROLES, word) ? (ROLES[word] ?? fallback) : fallback;
}

export function textOr(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? null : JSON.stringify(value);
}

export function toolCall(id: unknown, name: unknown, args: unknown): ToolCall {
  return {
    id: textOr(id) ?? '',
    type: 'function',
    function: { name: textOr(name) ?? '', arguments: textOr(args) ?? '' },
  };
}

/** What is no list is an empty one. */
export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A tool's description in any of the forms in use; null for what is none. */
export function toolOf(value: unknown, json: JsonTexts): Tool | null {
  const tool = json.read(value);
  if (!isObject(tool)) return null;
  const { type, function: inner, name, description, parameters, input_schema: schema } = tool;
  const said = isObject(inner) ? inner : {};
  const called = said['name'] ?? name;
  if (typeof called !== 'string' || called === '') {
    return typeof type === 'string' && type !== 'function' ? (tool as Tool) : null;
  }
  const takes = parameters ?? schema;
  return {
    type: 'function',
    function: {
      ...{ ...said, name: called },
      ...(typeof description === 'string' ? { description } : {}),
      ...(takes === undefined ? {} : { parameters: json.read(takes) }),
    },
  };
}

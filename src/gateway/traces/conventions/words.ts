import type { Message, Tool, ToolCall } from '../../../schemas/message';
import type { JsonTexts } from '../json-texts';
import type { Attributes } from '../otlp-span';
import { isObject } from '../otlp-span';

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

/** A text as it is, everything else as JSON; null for what is not there. */
export function textOr(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return value === null || value === undefined ? null : JSON.stringify(value);
}

/** What is no list is an empty one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function toolCall(id: unknown, name: unknown, args: unknown): ToolCall {
  return {
    id: textOr(id) ?? '',
    type: 'function',
    function: { name: textOr(name) ?? '', arguments: textOr(args) ?? '' },
  };
}

/** A tool's description in any of the forms in use; null for what is none. */
export function toolOf(value: unknown, json: JsonTexts): Tool | null {
  const tool = json.read(value);
  if (!isObject(tool)) return null;
  const { type, function: inner, name, description } = tool;
  const said = isObject(inner) ? inner : {};
  const called = said['name'] ?? name;
  if (typeof called !== 'string' || called === '') {
    return typeof type === 'string' && type !== 'function' ? (tool as Tool) : null;
  }
  const takes = tool['parameters'] ?? tool['input_schema'] ?? tool['inputSchema'];
  return {
    type: 'function',
    function: {
      ...{ ...said, name: called },
      ...(typeof description === 'string' ? { description } : {}),
      ...(takes === undefined ? {} : { parameters: json.read(takes) }),
    },
  };
}

/** A list that attributes spell out one by one, `<prefix>.<n>.<rest>`: in the order of n, each by its rests. */
export function indexed(attributes: Attributes, prefix: string): readonly Attributes[] {
  const items = new Map<number, Map<string, unknown>>();
  for (const [name, value] of attributes) {
    if (!name.startsWith(`${prefix}.`)) continue;
    const [, index, rest] = /^([0-9]{1,9})\.(.+)$/s.exec(name.slice(prefix.length + 1)) ?? [];
    if (index === undefined || rest === undefined) continue;
    const n = Number(index);
    items.set(n, (items.get(n) ?? new Map<string, unknown>()).set(rest, value));
  }
  return [...items].sort(([a], [b]) => a - b).map(([, item]) => item);
}

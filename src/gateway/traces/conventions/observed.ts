import type { Message, Tool } from '../../../schemas/message';
import type { OtlpSpan } from '../otlp-span';

/** What one way of writing calls into spans says of the messages of a call. Roles and tool calls may be anybody's still. */
export interface Said {
  /** Oldest first. */
  readonly input: readonly Message[];
  /** One for each choice. */
  readonly output: readonly Message[];
  readonly finishReason: string | null;
  readonly tools: readonly Tool[];
}

/** null where the span says nothing in this way. What it says and cannot be read is left out. */
export type Convention = (span: OtlpSpan) => Said | null;

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

export function toolCall(
  id: unknown,
  name: unknown,
  args: unknown,
): { id: string; type: 'function'; function: { name: string; arguments: string } } {
  return {
    id: textOr(id) ?? '',
    type: 'function',
    function: { name: textOr(name) ?? '', arguments: textOr(args) ?? '' },
  };
}

/** A member that holds JSON as text, as attributes must where their values are plain. Other values as they are. */
export function parsed(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value; // plain text
  }
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A tool's description in any of the forms in use; null for what is none. */
export function toolOf(value: unknown): Tool | null {
  const tool = parsed(value);
  if (typeof tool !== 'object' || tool === null) return null;
  const {
    type,
    function: inner,
    name,
    description,
    parameters,
    input_schema: schema,
  } = tool as Record<string, unknown>;
  const said =
    typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {};
  const called = said['name'] ?? name;
  if (typeof called !== 'string' || called === '') {
    return typeof type === 'string' && type !== 'function' ? (tool as Tool) : null;
  }
  return {
    type: 'function',
    function: {
      ...{ ...said, name: called },
      ...(typeof description === 'string' ? { description } : {}),
      ...(parameters === undefined && schema === undefined
        ? {}
        : { parameters: parsed(parameters ?? schema) }),
    },
  };
}

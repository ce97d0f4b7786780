import { z } from 'zod';

/**
 * Messages and tools of OpenAI's chat completions, as loosely as real clients send them: unknown fields survive.
 * Source: https://platform.openai.com/docs/api-reference/chat/create
 */
export const ToolCall = z
  .looseObject({
    id: z.string(),
    /** `function`, or a kind that only upstreams know (`custom`), which is kept as it is. */
    type: z.string(),
    /** Of each that is of type `function`. */
    function: z.looseObject({ name: z.string(), arguments: z.string() }).optional(),
  })
  .refine(hasFunction, { message: 'expected the function that is called', path: ['function'] });
export type ToolCall = z.infer<typeof ToolCall>;

const Content = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]);

export const Message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: Content.nullish(),
  tool_calls: z.array(ToolCall).nullish(),
  tool_call_id: z.string().optional(),
});
export type Message = z.infer<typeof Message>;

export const Tool = z
  .looseObject({
    /** `function`, or a kind that only upstreams know (`custom`, `web_search`, …), which is kept as it is. */
    type: z.string(),
    /** Of each that is of type `function`. */
    function: z.looseObject({ name: z.string().min(1) }).optional(),
  })
  .refine(hasFunction, { message: 'expected the function and its name', path: ['function'] });
export type Tool = z.infer<typeof Tool>;

/** What is called a function says which. */
export function hasFunction(value: {
  readonly type: string;
  readonly function?: unknown;
}): boolean {
  return value.type !== 'function' || value.function !== undefined;
}

/** The text of a message: its string, or its text parts joined by line breaks. */
export function textOf(message: Message): string {
  const { content } = message;
  if (content === null || content === undefined) return '';
  if (typeof content === 'string') return content;
  return content
    .map((part) => (part.type === 'text' && typeof part['text'] === 'string' ? part['text'] : ''))
    .filter((text) => text !== '')
    .join('\n');
}

import { z } from 'zod';
import type { Message, ToolCall } from '../../../schemas/message';
import { validate } from '../../http/json-body';
import { isFilled, without } from '../loose-json';
import { toContent, type Part } from '../text-content';

// What Anthropic calls content blocks, in the internal form. Source: https://platform.claude.com/docs/en/api/messages

const Block = z.looseObject({ type: z.string() });
export const Content = z.union([z.string(), z.array(Block)]);
export type Content = z.infer<typeof Content>;

const ToolUse = z.looseObject({ id: z.string(), name: z.string(), input: z.unknown() });
const ToolResult = z.looseObject({ tool_use_id: z.string(), content: Content.nullish() });

/**
 * The messages that a turn of the user (or of the system) is: each result of a tool is one of its own.
 *
 * @throws {RequestError} 400 naming the block that is none.
 */
export function toUserMessages(
  role: 'user' | 'system',
  content: Content,
  path: string,
): readonly Message[] {
  if (typeof content === 'string') return [{ role, content }];
  const messages: Message[] = [];
  let parts: Part[] = [];
  const flush = (): void => {
    if (parts.length > 0) messages.push({ role, content: toContent(parts) });
    parts = [];
  };
  for (const [index, block] of content.entries()) {
    if (block.type !== 'tool_result') {
      parts.push(toPart(block));
      continue;
    }
    flush();
    const result = validate(ToolResult, block, [`${path}[${index}]`]);
    const { tool_use_id: id, content: given } = result;
    messages.push({
      role: 'tool',
      tool_call_id: id,
      content: typeof given === 'string' ? given : toContent((given ?? []).map(toPart)),
      ...(result['is_error'] === true ? { is_error: true } : {}),
    });
  }
  flush();
  return messages.length > 0 ? messages : [{ role, content: '' }];
}

/**
 * What the assistant said, called and thought in one turn, in requests as in answers: an answer that a client sends back is the same message.
 *
 * @throws {RequestError} 400 naming the block that is none.
 */
export function toAssistantMessage(content: Content, path: string): Message {
  if (typeof content === 'string') return { role: 'assistant', content };
  const parts: Part[] = [];
  const calls: ToolCall[] = [];
  for (const [index, block] of content.entries()) {
    if (block.type !== 'tool_use') {
      parts.push(toPart(block));
      continue;
    }
    const { id, name, input } = validate(ToolUse, block, [`${path}[${index}]`]);
    // An answer that was cut within them has arguments that are no JSON.
    const text = typeof input === 'string' ? input : JSON.stringify(input ?? {});
    calls.push({ id, type: 'function', function: { name, arguments: text } });
  }
  return {
    role: 'assistant',
    content: parts.length === 0 ? null : toContent(parts),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

/** Texts, thoughts, images, searches, …: as they are, but for what is no part of what they say. */
function toPart(block: Part): Part {
  // Where a prompt is cached moves on with each call. Citations that are none come with answers, and not all clients send them back.
  const names = isFilled(block['citations']) ? ['cache_control'] : ['cache_control', 'citations'];
  return { ...without(block, names), type: block.type };
}

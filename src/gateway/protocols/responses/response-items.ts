import { z } from 'zod';
import type { Message, ToolCall } from '../../../schemas/message';
import { validate } from '../../http/json-body';
import { toContent, toParts, type Part } from '../text-content';
import { isFilled, without } from '../loose-json';
import { readItemId } from './item-id';

// What OpenAI's Responses call items, in the internal form. Source: https://platform.openai.com/docs/api-reference/responses

const Content = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]);
const AnyItem = z.looseObject({ type: z.string().nullish(), role: z.string().nullish() });
const MessageItem = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: Content.nullish(),
});
const FunctionCallItem = z.looseObject({
  ...{ call_id: z.string(), name: z.string(), arguments: z.string() },
});
const CustomCallItem = z.looseObject({
  ...{ call_id: z.string(), name: z.string(), input: z.string() },
});
const OutputItem = z.looseObject({ call_id: z.string(), output: Content.nullish() });
const ReferenceItem = z.looseObject({ id: z.string() });

/**
 * Items as messages. What the assistant said, called and thought between two turns of others is one message, in requests as in answers: so
 * an answer that a client sends back is the same message. Names and states of items are no part of it, since some clients leave them out.
 *
 * @param path what the items are in the request, for errors.
 * @throws {RequestError} 400 naming the item that is none.
 */
export function toMessages(items: readonly unknown[], path: string): Message[] {
  const messages: Message[] = [];
  let draft: AssistantDraft | null = null;
  const assistant = (): AssistantDraft => (draft ??= createAssistantDraft());
  const add = (message: Message): void => {
    if (draft !== null) messages.push(draft.message());
    draft = null;
    messages.push(message);
  };
  for (const [index, value] of items.entries()) {
    const at = [`${path}[${index}]`];
    const item = resolved(validate(AnyItem, value, at), at);
    const type = item.type ?? 'message';
    if (type === 'message') {
      const { role, content } = validate(MessageItem, item, at);
      const parts = toParts(content ?? []).map(toPart);
      if (role === 'assistant') assistant().parts.push(...parts);
      else add({ role, content: toContent(parts) });
    } else if (type === 'function_call') {
      const { call_id: id, name, arguments: text } = validate(FunctionCallItem, item, at);
      assistant().calls.push({ id, type: 'function', function: { name, arguments: text } });
    } else if (type === 'custom_tool_call') {
      const { call_id: id, name, input } = validate(CustomCallItem, item, at);
      assistant().calls.push({ id, type: 'custom', custom: { name, input } });
    } else if (type === 'function_call_output' || type === 'custom_tool_call_output') {
      const { call_id: id, output } = validate(OutputItem, item, at);
      add({
        role: 'tool',
        tool_call_id: id,
        content: toContent(toParts(output ?? '').map(toPart)),
      });
    } else if (type === 'item_reference') {
      assistant().parts.push({ type, id: validate(ReferenceItem, item, at).id });
    } else {
      // Reasoning, a search, a compaction, …: as it is.
      assistant().parts.push({ ...without(item, ['id', 'status']), type });
    }
  }
  if (draft !== null) messages.push((draft as AssistantDraft).message());
  return messages;
}

/** The items of an answer, which are all the assistant's. @throws {RequestError} for what is no item. */
export function fromAnswerItems(items: readonly unknown[]): Message {
  const [message, ...others] = toMessages(items, 'output');
  return message?.role === 'assistant' && others.length === 0
    ? message
    : createAssistantDraft().message(); // an answer may say nothing
}

/** The names of pieces of earlier answers that the items refer to. */
export function heldItemIds(messages: readonly Message[]): string[] {
  return messages.flatMap(({ content }) =>
    toParts(content ?? [])
      .filter(({ type }) => type === 'item_reference')
      .map(({ id }) => String(id)),
  );
}

interface AssistantDraft {
  readonly parts: Part[];
  readonly calls: ToolCall[];
  message(): Message;
}

function createAssistantDraft(): AssistantDraft {
  const parts: Part[] = [];
  const calls: ToolCall[] = [];
  return {
    parts,
    calls,
    message: () => ({
      role: 'assistant',
      content: parts.length === 0 ? null : toContent(parts),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    }),
  };
}

/** Texts have one name in the internal form; everything else is opaque. */
function toPart(part: Part): Part {
  if (part.type !== 'input_text' && part.type !== 'output_text' && part.type !== 'text')
    return part;
  // Log-probabilities and empty annotations come with an answer, and not all clients send them back with it.
  const names = isFilled(part['annotations']) ? ['logprobs'] : ['logprobs', 'annotations'];
  return { ...without(part, names), type: 'text' };
}

type Item = z.infer<typeof AnyItem>;

/** A reference to a piece of an answer of ours holds that piece. */
function resolved(item: Item, at: readonly string[]): Item {
  // Some clients leave the type out, of messages and of references.
  const hasRole = typeof item.role === 'string';
  const isReference = (item.type ?? (hasRole ? 'message' : 'item_reference')) === 'item_reference';
  if (!isReference) return item;
  const { id } = validate(ReferenceItem, item, at);
  const own = readItemId(id);
  return own === null ? { type: 'item_reference', id } : own;
}

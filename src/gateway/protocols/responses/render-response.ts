import type { ChatRequest } from '../../../schemas/chat';
import { textOf, type ToolCall } from '../../../schemas/message';
import { sseEvent } from '../../http/sse';
import type { OwnAnswer } from '../protocol';
import { createItemId } from './item-id';

/** An item of an answer of ours, with what a stream says of it between its beginning and its end. */
interface OwnItem {
  readonly item: object;
  /** What it is before anything of it has come. */
  readonly begun: object;
  /** The types of its events, and what each says beside where it belongs. */
  readonly pieces: readonly (readonly [type: string, rest: object])[];
}

/** The answer of a policy of ours, as an answer that is not streamed. */
export function renderResponse(request: ChatRequest, answer: OwnAnswer): object {
  return response(request, answer, itemsOf(answer));
}

/** The same as events, numbered from 0. */
export function renderResponseEvents(request: ChatRequest, answer: OwnAnswer): string[] {
  const events: string[] = [];
  const add = (type: string, rest: object): void =>
    void events.push(
      sseEvent(JSON.stringify({ type, ...rest, sequence_number: events.length }), type),
    );
  const items = itemsOf(answer);
  add('response.created', { response: response(request, answer, null) });
  add('response.in_progress', { response: response(request, answer, null) });
  for (const [index, { item, begun, pieces }] of items.entries()) {
    add('response.output_item.added', { output_index: index, item: begun });
    for (const [type, rest] of pieces) add(type, { output_index: index, ...rest });
    add('response.output_item.done', { output_index: index, item });
  }
  const end = answer.finishReason === 'length' ? 'response.incomplete' : 'response.completed';
  add(end, { response: response(request, answer, items) });
  return events;
}

/** @param items null while it is in progress. */
function response(
  request: ChatRequest,
  { id, atMs, model, usage, finishReason }: OwnAnswer,
  items: readonly OwnItem[] | null,
): object {
  const { promptTokens, completionTokens } = usage;
  const seconds = Math.floor(atMs / 1_000);
  const isCut = items !== null && finishReason === 'length';
  return {
    id,
    object: 'response',
    created_at: seconds,
    status: items === null ? 'in_progress' : isCut ? 'incomplete' : 'completed',
    completed_at: items === null ? null : seconds,
    background: false,
    error: null,
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    instructions: request['instructions'] ?? null,
    max_output_tokens: request['max_tokens'] ?? null,
    model,
    output: (items ?? []).map(({ item }) => item),
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    safety_identifier: null,
    store: false,
    temperature: request.temperature ?? 1,
    text: { format: { type: 'text' } },
    tool_choice: flat(request.tool_choice ?? 'auto'),
    tools: (request.tools ?? []).map(flat),
    top_p: request['top_p'] ?? 1,
    truncation: 'disabled',
    user: null,
    metadata: request.metadata ?? {},
    usage:
      items === null
        ? null
        : {
            input_tokens: promptTokens,
            input_tokens_details: { cached_tokens: usage.cacheReadTokens ?? 0 },
            output_tokens: completionTokens,
            output_tokens_details: { reasoning_tokens: 0 },
            total_tokens: promptTokens + completionTokens,
          },
  };
}

/** The members of a function lie flat in this protocol. */
function flat<T>(value: T): T | object {
  if (typeof value !== 'object' || value === null || !('function' in value)) return value;
  const { function: called, ...rest } = value;
  return { ...rest, ...(called as object) };
}

function itemsOf({ message }: OwnAnswer): OwnItem[] {
  const text = textOf(message);
  const calls = message.tool_calls ?? [];
  const says = text !== '' || calls.length === 0;
  return [...(says ? [textItem(text)] : []), ...calls.map(callItem)];
}

function textItem(text: string): OwnItem {
  const part = { type: 'output_text', text, annotations: [], logprobs: [] };
  const base = { type: 'message', role: 'assistant' };
  const id = createItemId('msg', { ...base, content: text });
  const at = { item_id: id, content_index: 0 };
  return {
    item: { ...base, id, status: 'completed', content: [part] },
    begun: { ...base, id, status: 'in_progress', content: [] },
    pieces: [
      ['response.content_part.added', { ...at, part: { ...part, text: '' } }],
      ['response.output_text.delta', { ...at, delta: text, logprobs: [] }],
      ['response.output_text.done', { ...at, text, logprobs: [] }],
      ['response.content_part.done', { ...at, part }],
    ],
  };
}

function callItem({ id: callId, function: called }: ToolCall): OwnItem {
  const { name = '', arguments: text = '' } = called ?? {};
  const base = { type: 'function_call', call_id: callId, name };
  const id = createItemId('fc', { ...base, arguments: text });
  return {
    item: { ...base, id, status: 'completed', arguments: text },
    begun: { ...base, id, status: 'in_progress', arguments: '' },
    pieces: [
      ['response.function_call_arguments.delta', { item_id: id, delta: text }],
      ['response.function_call_arguments.done', { item_id: id, name, arguments: text }],
    ],
  };
}

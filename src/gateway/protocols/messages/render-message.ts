import { textOf } from '../../../schemas/message';
import { sseEvent } from '../../http/sse';
import { asObject } from '../loose-json';
import type { OwnAnswer } from '../protocol';

/** A content block of an answer of ours: how it begins in a stream, and what then comes. */
interface OwnBlock {
  readonly block: object;
  readonly start: object;
  readonly delta: object;
}

/** The answer of a policy of ours, as an answer that is not streamed. */
export function renderMessage(answer: OwnAnswer): object {
  return {
    ...head(answer),
    content: blocksOf(answer).map(({ block }) => block),
    stop_reason: stopReason(answer),
    usage: usageOf(answer, answer.usage.completionTokens),
  };
}

/** The same as events. */
export function renderMessageEvents(answer: OwnAnswer): string[] {
  const event = (type: string, rest: object = {}): string =>
    sseEvent(JSON.stringify({ type, ...rest }), type);
  const begun = { ...head(answer), content: [], stop_reason: null, usage: usageOf(answer, 0) };
  return [
    event('message_start', { message: begun }),
    ...blocksOf(answer).flatMap(({ start, delta }, index) => [
      event('content_block_start', { index, content_block: start }),
      event('content_block_delta', { index, delta }),
      event('content_block_stop', { index }),
    ]),
    event('message_delta', {
      delta: { stop_reason: stopReason(answer), stop_sequence: null },
      usage: usageOf(answer, answer.usage.completionTokens),
    }),
    event('message_stop'),
  ];
}

function head({ id, model }: OwnAnswer): object {
  return { id, type: 'message', role: 'assistant', model, stop_sequence: null };
}

function stopReason({ finishReason }: OwnAnswer): string {
  return { tool_calls: 'tool_use', length: 'max_tokens', stop: 'end_turn' }[finishReason];
}

function usageOf({ usage }: OwnAnswer, outputTokens: number): object {
  return {
    input_tokens: usage.promptTokens - (usage.cacheReadTokens ?? 0), // Anthropic counts those apart
    output_tokens: outputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: usage.cacheReadTokens ?? 0,
  };
}

function blocksOf({ message }: OwnAnswer): OwnBlock[] {
  const text = textOf(message);
  const calls = (message.tool_calls ?? []).map(({ id, function: called }): OwnBlock => {
    const { name = '', arguments: json = '{}' } = called ?? {};
    const block = { type: 'tool_use', id, name };
    return {
      block: { ...block, input: asObject(JSON.parse(json)) ?? {} }, // an arm's arguments are an object
      start: { ...block, input: {} },
      delta: { type: 'input_json_delta', partial_json: json },
    };
  });
  if (text === '' && calls.length > 0) return calls;
  const said: OwnBlock = {
    block: { type: 'text', text },
    start: { type: 'text', text: '' },
    delta: { type: 'text_delta', text },
  };
  return [said, ...calls];
}

import type { SseEvent } from '../../http/sse';
import { toAnswerMessage } from '../answer-message';
import type { AnswerReader, RelayedEvent, UpstreamAnswer } from '../protocol';
import { notOfProtocol } from '../not-of-protocol';
import { asObject, objectsOf, parseAnswer, tokenCounts, type JsonObject } from '../loose-json';
import { fromAnswerItems } from './response-items';

/**
 * Reads responses, whole or as events. Of a stream only the ends of items and of the answer are read: they repeat all that the pieces
 * before them said. Source: https://platform.openai.com/docs/api-reference/responses-streaming
 */
export function createResponsesReader(): AnswerReader {
  let answer: UpstreamAnswer | null = null;
  let hasFailed = false;
  // For upstreams that end a stream with a response without its output.
  const items = new Map<number, JsonObject>();

  const read = (response: JsonObject): void => {
    const status = response['status'] ?? 'completed';
    if (status === 'failed' || status === 'cancelled') hasFailed = true;
    else if (status === 'completed' || status === 'incomplete') answer = toAnswer(response);
    else throw notOfProtocol('a response that is completed');
  };
  const readEnd = (event: JsonObject): void => {
    const response = asObject(event['response']);
    if (response === null) throw notOfProtocol('an event with a response');
    const isEmpty = objectsOf(response['output']).length === 0;
    read(isEmpty ? { ...response, output: inOrder(items) } : response);
  };
  const readEvent = (event: JsonObject): void => {
    if (event['type'] === 'error') hasFailed = answer === null;
    else if (event['type'] === 'response.output_item.done') {
      const item = asObject(event['item']);
      if (item !== null) items.set(Number(event['output_index'] ?? items.size), item);
    } else readEnd(event);
  };

  return {
    whole(text) {
      read(parseAnswer(text));
      return text;
    },

    event(event): RelayedEvent {
      const wasOver = answer !== null || hasFailed;
      if (!wasOver && isRead(event)) readEvent(parseAnswer(event.data ?? ''));
      const isOver = answer !== null || hasFailed;
      return { text: event.text, isHeld: answer !== null, isLast: isOver };
    },

    answer: () => answer,
    hasFailed: () => hasFailed,
  };
}

const READ = /^(?:response\.(?:completed|incomplete|failed|cancelled|output_item\.done)|error)$/;

function isRead({ name, data }: SseEvent): boolean {
  if (data === null || data === '[DONE]') return false;
  // Some upstreams leave the event's name out.
  return READ.test(name === '' ? String(parseAnswer(data)['type']) : name);
}

function inOrder(items: ReadonlyMap<number, JsonObject>): JsonObject[] {
  return Array.from(items)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

/** @throws {UpstreamError} */
function toAnswer(response: JsonObject): UpstreamAnswer {
  const { id, status, output, usage, incomplete_details: details } = response;
  if (!Array.isArray(output)) throw notOfProtocol('a response with an output');
  const reason = asObject(details)?.['reason'];
  return {
    responseId: typeof id === 'string' ? id : null,
    itemIds: objectsOf(output)
      .map((item) => item['id'])
      .filter((itemId) => typeof itemId === 'string'),
    outputs: [toAnswerMessage(() => fromAnswerItems(output), 'items of a response')],
    finishReason: typeof reason === 'string' ? reason : typeof status === 'string' ? status : null,
    tokens: null, // no upstream gives ids here
    usage: tokenCounts(asObject(usage), 'input_tokens', 'output_tokens'),
  };
}

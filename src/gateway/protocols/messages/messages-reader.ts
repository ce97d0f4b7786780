import type { Message } from '../../../schemas/message';
import { toAnswerMessage } from '../answer-message';
import { asObject, isCount, parseAnswer, type JsonObject } from '../loose-json';
import { notOfProtocol } from '../not-of-protocol';
import type { AnswerReader, RelayedEvent, UpstreamAnswer } from '../protocol';
import { createBlockDraft, type BlockDraft } from './block-draft';
import { Content, toAssistantMessage } from './content-blocks';

/** Nobody writes more blocks than this, and each takes memory. */
const MAX_BLOCKS = 4_096;
/** Events that say nothing of what the answer is. */
const SKIPPED = new Set(['ping', 'content_block_stop']);

/** Reads messages, whole or as events. Source: https://platform.claude.com/docs/en/build-with-claude/streaming */
export function createMessagesReader(): AnswerReader {
  const blocks = new Map<number, BlockDraft>();
  let responseId: string | null = null;
  let stopReason: string | null = null;
  let usage: JsonObject = {};
  let output: Message | null = null;
  let hasFailed = false;

  const readHead = (message: JsonObject): void => {
    if (typeof message['id'] === 'string') responseId = message['id'];
    readUsage(message['usage']);
  };
  /** What comes later is the total so far; what it leaves out, or null, is as before. */
  const readUsage = (value: unknown): void => {
    const counts = Object.entries(asObject(value) ?? {}).filter(([, count]) => isCount(count));
    usage = { ...usage, ...Object.fromEntries(counts) };
  };
  /** @throws {UpstreamError} */
  const readOutput = (content: unknown): void => {
    const read = (): Message => toAssistantMessage(Content.parse(content), 'content');
    output ??= toAnswerMessage(read, 'content blocks');
  };
  const begin = (event: JsonObject): void => {
    if (blocks.size === MAX_BLOCKS) throw notOfProtocol(`at most ${MAX_BLOCKS} content blocks`);
    const start = asObject(event['content_block']) ?? {};
    blocks.set(Number(event['index'] ?? 0), createBlockDraft(start));
  };
  /** @returns the event's type. */
  const readEvent = (event: JsonObject): unknown => {
    const { type } = event;
    if (type === 'message_start') readHead(asObject(event['message']) ?? {});
    else if (type === 'content_block_start') begin(event);
    else if (type === 'content_block_delta') {
      blocks.get(Number(event['index'] ?? 0))?.add(asObject(event['delta']) ?? {});
    } else if (type === 'message_delta') {
      readUsage(event['usage']);
      const reason = asObject(event['delta'])?.['stop_reason'];
      if (typeof reason === 'string') {
        stopReason = reason;
        readOutput(blocksInOrder());
      }
    } else if (type === 'message_stop') readOutput(blocksInOrder());
    else if (type === 'error') hasFailed = output === null;
    return type;
  };
  const blocksInOrder = (): JsonObject[] =>
    Array.from(blocks)
      .sort(([a], [b]) => a - b)
      .map(([, draft]) => draft.block());

  return {
    whole(text) {
      const message = parseAnswer(text);
      if (message['type'] === 'error') {
        hasFailed = true;
        return text;
      }
      readHead(message);
      const { content, stop_reason: reason } = message;
      if (!Array.isArray(content)) throw notOfProtocol('a message with content');
      if (typeof reason === 'string') stopReason = reason;
      readOutput(content);
      return text;
    },

    event({ text, name, data }): RelayedEvent {
      const isRead = data !== null && !SKIPPED.has(name);
      const type = isRead ? readEvent(parseAnswer(data)) : name;
      return { text, isHeld: output !== null, isLast: hasFailed || type === 'message_stop' };
    },

    answer(): UpstreamAnswer | null {
      if (output === null) return null;
      return {
        ...{ responseId, finishReason: stopReason, tokens: null }, // no upstream gives ids here
        outputs: [output],
        usage: toCounts(usage),
      };
    },

    hasFailed: () => hasFailed,
  };
}

/** Of a prompt that is partly cached, `input_tokens` counts only the rest. */
function toCounts(usage: JsonObject): UpstreamAnswer['usage'] {
  const { input_tokens: input, output_tokens: completionTokens } = usage;
  if (!isCount(input) || !isCount(completionTokens)) return null;
  const { cache_read_input_tokens: read, cache_creation_input_tokens: written } = usage;
  return {
    promptTokens: [input, read, written].filter(isCount).reduce((sum, count) => sum + count, 0),
    completionTokens,
    ...(isCount(read) ? { cacheReadTokens: read } : {}),
    ...(isCount(written) ? { cacheWriteTokens: written } : {}),
  };
}

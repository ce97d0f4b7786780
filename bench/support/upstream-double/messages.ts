import { RecentMap } from '../../../src/gateway/recent-map';
import {
  askedOfMessages,
  checkTurns,
  parseMessagesRequest,
  type Message,
  type MessagesRequest,
} from './messages-request';
import { event, idOf, type CallContext, type DoubleProtocol } from './protocol';
import { isGiven, Refusal } from './refusal';
import { cut, think, type Thought } from './think';

/** Conversations that the double remembers for `thread`. */
const MAX_STORED = 1_000;

/** Anthropic's Messages. Source: https://docs.anthropic.com/en/api/messages */
export function createMessages(): DoubleProtocol {
  const stored = new RecentMap<string, readonly Message[]>(MAX_STORED);

  const before = ({ thread }: MessagesRequest): readonly Message[] => {
    if (thread?.type !== 'continue') return [];
    const messages = stored.get(thread.previous_message_id);
    if (messages !== undefined) return messages;
    throw new Refusal(404, `thread: there is no message ${thread.previous_message_id}`);
  };

  return {
    answer(body, call) {
      const request = parseMessagesRequest(body, call.header);
      const messages = [...before(request), ...request.messages];
      checkTurns(messages);
      const thought = think(askedOfMessages(request, messages));
      const content = contentOf(thought, call);
      if (isGiven(request.thread)) {
        stored.set(idOf('msg_', call.serial), [...messages, { role: 'assistant', content }]);
      }
      return {
        model: request.model,
        content:
          request.stream === true
            ? { kind: 'events', events: eventsOf(request, call, thought, content) }
            : { kind: 'json', body: messageOf(request, call, thought, content) },
      };
    },
  };
}

type Block = Extract<
  Exclude<Extract<Message, { role: 'assistant' }>['content'], string>[number],
  { type: 'text' | 'tool_use' }
>;

function contentOf({ tokens, calls }: Thought, { serial }: CallContext): Block[] {
  if (calls.length === 0) return [{ type: 'text', text: tokens.join('') }];
  return calls.map(({ name, arguments: text }, i) => ({
    ...{ type: 'tool_use', id: idOf('toolu_', serial, i), name },
    input: JSON.parse(text) as Record<string, unknown>,
  }));
}

function stopReasonOf({ calls, isCut }: Thought): string {
  if (calls.length > 0) return 'tool_use';
  return isCut ? 'max_tokens' : 'end_turn';
}

function headOf({ model }: MessagesRequest, { serial }: CallContext): object {
  return { id: idOf('msg_', serial), type: 'message', role: 'assistant', model };
}

const NO_CACHE = { cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };

function messageOf(
  request: MessagesRequest,
  call: CallContext,
  thought: Thought,
  content: readonly Block[],
): object {
  const { promptTokens, completionTokens } = thought;
  return {
    ...{ ...headOf(request, call), content },
    ...{ stop_reason: stopReasonOf(thought), stop_sequence: null },
    usage: { input_tokens: promptTokens, ...NO_CACHE, output_tokens: completionTokens },
  };
}

function eventsOf(
  request: MessagesRequest,
  call: CallContext,
  thought: Thought,
  content: readonly Block[],
): string[] {
  const events: string[] = [];
  const add = (type: string, data: object = {}): void =>
    void events.push(event({ type, ...data }, type));
  const message = {
    ...{ ...headOf(request, call), content: [], stop_reason: null, stop_sequence: null },
    usage: { input_tokens: thought.promptTokens, ...NO_CACHE, output_tokens: 1 },
  };
  add('message_start', { message });
  add('ping');
  for (const [index, block] of content.entries()) {
    const empty = block.type === 'text' ? { ...block, text: '' } : { ...block, input: {} };
    add('content_block_start', { index, content_block: empty });
    const deltas =
      block.type === 'text'
        ? thought.tokens.map((text) => ({ type: 'text_delta', text }))
        : ['', ...cut(JSON.stringify(block.input))].map((json) => ({
            type: 'input_json_delta',
            partial_json: json,
          }));
    for (const delta of deltas) add('content_block_delta', { index, delta });
    add('content_block_stop', { index });
  }
  add('message_delta', {
    delta: { stop_reason: stopReasonOf(thought), stop_sequence: null },
    usage: { output_tokens: thought.completionTokens },
  });
  add('message_stop');
  return events;
}

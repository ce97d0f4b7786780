import { RecentMap } from '../../../src/gateway/recent-map';
import { event, idOf, type CallContext, type DoubleProtocol } from './protocol';
import { invalid } from './refusal';
import {
  askedOfResponses,
  checkCalls,
  itemsOf,
  parseResponsesRequest,
  type Item,
  type ResponsesRequest,
} from './responses-request';
import { cut, think, type Thought } from './think';

/** Conversations that the double remembers for `previous_response_id`. */
const MAX_STORED = 1_000;

/** Responses. Source: https://platform.openai.com/docs/api-reference/responses */
export function createResponses(): DoubleProtocol {
  const stored = new RecentMap<string, readonly Item[]>(MAX_STORED);

  const before = ({ previous_response_id: id }: ResponsesRequest): readonly Item[] => {
    if (id === null || id === undefined) return [];
    const items = stored.get(id);
    if (items !== undefined) return items;
    const [param, code] = ['previous_response_id', 'previous_response_not_found'];
    throw invalid(`previous response with id '${id}' was not found`, param, code);
  };

  return {
    answer(body, call) {
      const request = parseResponsesRequest(body);
      const items = [...before(request), ...itemsOf(request)];
      checkCalls(items);
      const thought = think(askedOfResponses(request, items));
      const output = outputOf(thought, call);
      if (request.store !== false) stored.set(idOf('resp_', call.serial), [...items, ...output]);
      const whole = { ...headOf(request, call), ...endOf(thought, call, output) };
      return {
        model: request.model,
        content:
          request.stream === true
            ? { kind: 'events', events: eventsOf(request, call, thought, output, whole) }
            : { kind: 'json', body: whole },
      };
    },
  };
}

type OutputItem = Extract<Item, { role: 'assistant' } | { type: 'function_call' }>;

function outputOf({ tokens, calls }: Thought, { serial }: CallContext): OutputItem[] {
  if (calls.length > 0) {
    return calls.map((called, i) => ({
      ...{ type: 'function_call', id: idOf('fc_', serial, i), call_id: idOf('call_', serial, i) },
      ...{ ...called, status: 'completed' },
    }));
  }
  const [id, content] = [idOf('msg_', serial), [textPart({ tokens })]];
  return [{ type: 'message', id, role: 'assistant', status: 'completed', content }];
}

function textPart({ tokens }: Pick<Thought, 'tokens'>) {
  return { type: 'output_text' as const, text: tokens.join(''), annotations: [], logprobs: [] };
}

function headOf(request: ResponsesRequest, { serial, createdAt }: CallContext): object {
  return {
    ...{ id: idOf('resp_', serial), object: 'response', created_at: createdAt },
    ...{ status: 'in_progress', background: false, error: null, incomplete_details: null },
    ...{ instructions: request.instructions ?? null, metadata: request.metadata ?? {} },
    ...{ model: request.model, output: [] },
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: request.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    ...{ store: request.store ?? true, temperature: request.temperature ?? 1 },
    text: { format: { type: 'text' }, ...request.text },
    ...{ tool_choice: request.tool_choice ?? 'auto', tools: request.tools ?? [] },
    ...{ top_p: request.top_p ?? 1, truncation: 'disabled', usage: null, user: null },
  };
}

function endOf(
  { isCut, promptTokens, completionTokens }: Thought,
  { createdAt }: CallContext,
  output: readonly OutputItem[],
): object {
  return {
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    ...{ completed_at: createdAt, output },
    usage: {
      input_tokens: promptTokens,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: completionTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: promptTokens + completionTokens,
    },
  };
}

function eventsOf(
  request: ResponsesRequest,
  call: CallContext,
  thought: Thought,
  output: readonly OutputItem[],
  whole: object,
): string[] {
  const events: string[] = [];
  const add = (type: string, data: object): void => {
    events.push(event({ type, sequence_number: events.length, ...data }, type));
  };
  const response = headOf(request, call);
  add('response.created', { response });
  add('response.in_progress', { response });
  for (const [index, item] of output.entries()) {
    const at = { item_id: item.id, output_index: index };
    const begun = {
      status: 'in_progress',
      ...('role' in item ? { content: [] } : { arguments: '' }),
    };
    add('response.output_item.added', { output_index: index, item: { ...item, ...begun } });
    if ('role' in item) {
      const part = textPart(thought);
      const inPart = { ...at, content_index: 0 };
      add('response.content_part.added', { ...inPart, part: { ...part, text: '' } });
      for (const delta of thought.tokens) {
        add('response.output_text.delta', { ...inPart, delta, logprobs: [] });
      }
      add('response.output_text.done', { ...inPart, text: part.text, logprobs: [] });
      add('response.content_part.done', { ...inPart, part });
    } else {
      for (const delta of cut(item.arguments)) {
        add('response.function_call_arguments.delta', { ...at, delta });
      }
      const { name, arguments: all } = item;
      add('response.function_call_arguments.done', { ...at, name, arguments: all });
    }
    add('response.output_item.done', { output_index: index, item });
  }
  add(`response.${thought.isCut ? 'incomplete' : 'completed'}`, { response: whole });
  return events;
}

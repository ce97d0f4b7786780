import { createHash } from 'node:crypto';
import { askedOfChat, isEngine, parseChatRequest, type ChatRequest } from './chat-request';
import { event, idOf, type CallContext, type DoubleProtocol } from './protocol';
import { cut, think, type Thought } from './think';

/** Chat completions. Source: https://platform.openai.com/docs/api-reference/chat */
export const chat: DoubleProtocol = {
  answer(body, call) {
    const request = parseChatRequest(body);
    const asked = askedOfChat(request);
    const choices = Array.from({ length: request.n ?? 1 }, (_, i) => think(asked, i));
    const answer = { request, choices, call };
    return {
      model: request.model,
      content:
        request.stream === true
          ? { kind: 'events', events: eventsOf(answer) }
          : { kind: 'json', body: wholeOf(answer) },
    };
  },
};

interface ChatAnswer {
  readonly request: ChatRequest;
  readonly choices: readonly Thought[];
  readonly call: CallContext;
}

function wholeOf(answer: ChatAnswer): object {
  const { request, choices } = answer;
  return {
    ...headOf(answer, 'chat.completion'),
    ...promptIdsOf(request),
    choices: choices.map((thought, index) => ({
      index,
      message: {
        role: 'assistant',
        content: thought.calls.length > 0 ? null : thought.tokens.join(''),
        refusal: null,
        annotations: [],
        ...(thought.calls.length > 0 ? { tool_calls: toolCallsOf(answer, index) } : {}),
      },
      logprobs: request.logprobs === true ? logprobsOf(request, thought.tokens) : null,
      finish_reason: finishReasonOf(thought),
      ...(asksIds(request) ? { token_ids: tokensOf(thought).map(tokenId) } : {}),
    })),
    usage: usageOf(choices),
  };
}

function eventsOf(answer: ChatAnswer): string[] {
  const { request, choices } = answer;
  const wantsUsage = request.stream_options?.include_usage === true;
  const chunk = (
    list: readonly object[],
    rest: object = wantsUsage ? { usage: null } : {},
  ): string => event({ ...headOf(answer, 'chat.completion.chunk'), choices: list, ...rest });
  const choice = (index: number, delta: object, rest: object = {}): object => ({
    ...{ index, delta, logprobs: null, finish_reason: null },
    ...rest,
  });
  const events: string[] = [];
  for (const [index, thought] of choices.entries()) {
    const calls = toolCallsOf(answer, index);
    const head = { role: 'assistant', content: calls.length > 0 ? null : '', refusal: null };
    events.push(chunk([choice(index, head)], index === 0 ? promptIdsOf(request) : {}));
    for (const token of thought.tokens) {
      const rest = {
        ...(request.logprobs === true ? { logprobs: logprobsOf(request, [token]) } : {}),
        ...(asksIds(request) ? { token_ids: [tokenId(token)] } : {}),
      };
      events.push(chunk([choice(index, { content: token }, rest)]));
    }
    for (const [position, { function: called, ...call }] of calls.entries()) {
      const begin = { index: position, ...call, function: { ...called, arguments: '' } };
      events.push(chunk([choice(index, { tool_calls: [begin] })]));
      for (const piece of cut(called.arguments)) {
        const fragment = { index: position, function: { arguments: piece } };
        events.push(chunk([choice(index, { tool_calls: [fragment] })]));
      }
    }
    events.push(chunk([choice(index, {}, { finish_reason: finishReasonOf(thought) })]));
  }
  if (wantsUsage) events.push(chunk([], { usage: usageOf(choices) }));
  return [...events, 'data: [DONE]\n\n'];
}

function headOf({ request, call }: ChatAnswer, object: string): object {
  return {
    ...{ id: idOf('chatcmpl-', call.serial), object, created: call.createdAt },
    ...{ model: request.model, service_tier: 'default', system_fingerprint: 'fp_double' },
  };
}

function toolCallsOf({ choices, call: { serial } }: ChatAnswer, index: number): ToolCall[] {
  return (choices[index]?.calls ?? []).map((called, i) => ({
    id: idOf('call_', serial, index * 100 + i),
    type: 'function',
    function: called,
  }));
}

interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

function finishReasonOf({ calls, isCut }: Thought): string {
  if (calls.length > 0) return 'tool_calls';
  return isCut ? 'length' : 'stop';
}

function usageOf(choices: readonly Thought[]): object {
  const prompt = choices[0]?.promptTokens ?? 0;
  const completion = choices.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
  return {
    ...{ prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  };
}

function logprobsOf({ top_logprobs: top }: ChatRequest, tokens: readonly string[]): object {
  const entry = (token: string, logprob: number): object => ({
    ...{ token, logprob, bytes: [...Buffer.from(token)] },
  });
  return {
    content: tokens.map((token) => ({
      ...entry(token, logprob(token)),
      top_logprobs: Array.from({ length: top ?? 0 }, (_, i) =>
        entry(token + "'".repeat(i), -i - 1),
      ),
    })),
    refusal: null,
  };
}

function asksIds({ model, return_token_ids: asked }: ChatRequest): boolean {
  return isEngine(model) && asked === true;
}

function promptIdsOf(request: ChatRequest): object {
  if (!asksIds(request)) return {};
  const texts = askedOfChat(request).turns.flatMap(({ text }) => cut(text));
  return { prompt_token_ids: texts.map(tokenId) };
}

function tokensOf({ tokens, calls }: Thought): readonly string[] {
  return calls.length === 0 ? tokens : calls.flatMap((call) => [call.name, ...cut(call.arguments)]);
}

function tokenId(token: string): number {
  return createHash('sha256').update(token).digest().readUInt16BE(0);
}

/** In (−1, 0]: the same token has the same. */
function logprob(token: string): number {
  return -tokenId(token) / 65_536;
}

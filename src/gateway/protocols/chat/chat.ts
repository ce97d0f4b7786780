import { editJson, type JsonEdit } from '../../http/edit-json';
import { sseEvent } from '../../http/sse';
import type { OwnAnswer, Protocol } from '../protocol';
import { assertReadOnce } from '../read-once';
import { parseChatBody } from './chat-body';
import { createChatReader } from './chat-reader';
import { chatPatching } from './patch-chat';

const READ_MEMBERS = ['model', 'messages', 'tools', 'tool_choice', 'stream', 'n'];
const DONE = 'data: [DONE]\n\n';

/** OpenAI's chat completions. Source: https://platform.openai.com/docs/api-reference/chat */
export const chat: Protocol = {
  name: 'chat',
  path: '/chat/completions',
  idPrefix: 'chatcmpl-',

  parse(text, interner) {
    const { request, toolset } = parseChatBody(text, interner);
    const { metadata, safety_identifier: safetyIdentifier, user } = request;
    return {
      ...{ text, request, toolset, isStream: request.stream === true },
      sessionNames: [metadata?.['session_id'], safetyIdentifier, user],
      ...{ previousId: null, conversationId: null, heldItemIds: [] }, // every request holds the whole conversation
    };
  },

  forUpstream({ text, request, isStream }, { model, tokenIds }) {
    assertReadOnce(text, READ_MEMBERS);
    const asksUsage = readsTrue(request['stream_options'], 'include_usage');
    const asksTokenIds = request['return_token_ids'] === true;
    const asksLogprobs = request['logprobs'] === true;
    const edits: JsonEdit[] = [];
    const add = (path: JsonEdit['path'], value: unknown): void =>
      void edits.push({ path, to: JSON.stringify(value), isAdded: true });
    if (model !== request.model) add(['model'], model);
    if (isStream && !asksUsage) {
      // null would have to become an object, which no edit of a member of it can do.
      if (request['stream_options'] === null) add(['stream_options'], { include_usage: true });
      else add(['stream_options', 'include_usage'], true);
    }
    if (tokenIds && !asksTokenIds) add(['return_token_ids'], true);
    if (tokenIds && !asksLogprobs) add(['logprobs'], true);
    return {
      body: editJson(text, edits),
      reader: createChatReader({
        choices: Math.max(1, request.n ?? 1), // whoever takes less does not answer nothing
        hidesUsage: isStream && !asksUsage,
        hidesTokenIds: tokenIds && !asksTokenIds,
        hidesLogprobs: tokenIds && !asksLogprobs,
      }),
    };
  },

  patching: chatPatching,

  render({ request }, answer) {
    const { promptIds, ids, logprobs } = tokensOf(request, answer);
    return {
      ...head(answer, 'chat.completion'),
      ...promptIds,
      choices: [
        {
          index: 0,
          message: { content: null, refusal: null, ...answer.message },
          logprobs,
          ...ids,
          finish_reason: answer.finishReason,
        },
      ],
      usage: usageOf(answer),
    };
  },

  renderStream({ request }, answer) {
    const { promptIds, ids, logprobs } = tokensOf(request, answer);
    const chunk = (choices: readonly object[], rest = {}): string =>
      sseEvent(JSON.stringify({ ...head(answer, 'chat.completion.chunk'), choices, ...rest }));
    const choice = (delta: object, finishReason: string | null): object => ({
      ...{ index: 0, delta, logprobs: null, finish_reason: finishReason },
    });
    const { tool_calls: calls, ...message } = answer.message;
    // The answer is whole before its first piece goes out, so all its tokens go with that.
    const first = {
      ...choice({ content: null, refusal: null, ...message }, null),
      logprobs,
      ...ids,
    };
    const events = [chunk([first], promptIds)];
    for (const [index, call] of (calls ?? []).entries()) {
      events.push(chunk([choice({ tool_calls: [{ index, ...call }] }, null)]));
    }
    events.push(chunk([choice({}, answer.finishReason)]));
    if (readsTrue(request['stream_options'], 'include_usage')) {
      events.push(chunk([], { usage: usageOf(answer) }));
    }
    return [...events, DONE];
  },

  errorBody: ({ body }) => body,
  errorEvent: ({ body }) => sseEvent(JSON.stringify(body)),
};

function head({ id, model, atMs }: OwnAnswer, object: string): object {
  return { id, object, created: Math.floor(atMs / 1_000), model };
}

function usageOf({
  usage: { promptTokens, completionTokens, cacheReadTokens },
}: OwnAnswer): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    ...(cacheReadTokens !== undefined && {
      prompt_tokens_details: { cached_tokens: cacheReadTokens },
    }),
  };
}

/** Token ids and log-probabilities for who asked for them, as vLLM gives them (`return_token_ids`, `return_tokens_as_token_ids`). */
function tokensOf(
  request: Readonly<Record<string, unknown>>,
  { tokens }: OwnAnswer,
): { readonly promptIds: object; readonly ids: object; readonly logprobs: object | null } {
  const isAsked = request['return_token_ids'] === true && tokens !== null;
  const content =
    request['logprobs'] === true
      ? tokens?.logprobs?.map((logprob, i) => ({
          token: `token_id:${tokens.completion[i]}`,
          ...{ logprob, bytes: null, top_logprobs: [] },
        }))
      : undefined;
  return {
    promptIds: isAsked ? { prompt_token_ids: tokens.prompt } : {},
    ids: isAsked ? { token_ids: tokens.completion } : {},
    logprobs: content === undefined ? null : { content, refusal: null },
  };
}

/** Whether the member of what may be anything is true. */
function readsTrue(value: unknown, member: string): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as Record<string, unknown>)[member] === true
  );
}

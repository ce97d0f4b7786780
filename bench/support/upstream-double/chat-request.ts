import { z } from 'zod';
import { check, invalid, isGiven } from './refusal';
import { contentText, type Asked, type Turn } from './think';

const Name = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/);
const TextPart = z.strictObject({ type: z.literal('text'), text: z.string() });
const Text = z.union([z.string(), z.array(TextPart).min(1)]);
const UserPart = z.discriminatedUnion('type', [
  TextPart,
  z.strictObject({
    type: z.literal('image_url'),
    image_url: z.strictObject({ url: z.url(), detail: z.string().optional() }),
  }),
]);
const ToolCall = z.strictObject({
  id: z.string().min(1),
  type: z.literal('function'),
  function: z.strictObject({
    ...{ name: Name, arguments: z.string() },
    parsed_arguments: z.unknown().optional(),
  }),
  index: z.int().optional(), // OpenAI's client for Python keeps it of a stream
});
const named = { name: z.string().min(1).optional() };

const Message = z.discriminatedUnion('role', [
  z.strictObject({ role: z.enum(['system', 'developer']), content: Text, ...named }),
  z.strictObject({
    role: z.literal('user'),
    content: z.union([z.string(), z.array(UserPart).min(1)]),
    ...named,
  }),
  z.strictObject({
    role: z.literal('assistant'),
    content: Text.nullish(),
    refusal: z.string().nullish(),
    tool_calls: z.array(ToolCall).min(1).optional(),
    annotations: z.array(z.unknown()).nullish(),
    parsed: z.unknown().optional(), // OpenAI's own client adds it, and `parsed_arguments`
    audio: z.null().optional(),
    function_call: z.null().optional(),
    ...named,
  }),
  z.strictObject({
    ...{ role: z.literal('tool'), content: Text, tool_call_id: z.string().min(1) },
    ...named, // as LangGraph sends it
  }),
]);

const Tool = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: Name,
    description: z.string().optional(),
    parameters: z.looseObject({ type: z.literal('object') }).optional(),
    strict: z.boolean().nullish(),
  }),
});

const ResponseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: Name,
      schema: z.looseObject({}),
      strict: z.boolean().nullish(),
      description: z.string().optional(),
    }),
  }),
]);

const members = {
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  tools: z.array(Tool).max(128).optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.strictObject({ type: z.literal('function'), function: z.strictObject({ name: Name }) }),
    ])
    .optional(),
  parallel_tool_calls: z.boolean().optional(),
  response_format: ResponseFormat.optional(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().optional(),
      include_obfuscation: z.boolean().optional(),
    })
    .nullish(),
  n: z.int().min(1).max(128).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  seed: z.int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  logit_bias: z.record(z.string(), z.number()).nullish(),
  user: z.string().optional(),
  safety_identifier: z.string().max(64).nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  store: z.boolean().nullish(),
  reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).nullish(),
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
  service_tier: z.enum(['auto', 'default', 'flex', 'scale', 'priority']).nullish(),
  prompt_cache_key: z.string().nullish(),
};

const Strict = z.strictObject(members);
/** An engine of one's own (vLLM) takes what it does not know, and gives token ids when asked to. */
const Loose = z.looseObject({ ...members, return_token_ids: z.boolean().nullish() });
export type ChatRequest = z.infer<typeof Loose>;

export const isEngine = (model: unknown): boolean =>
  typeof model === 'string' && model.startsWith('vllm/');

/** @throws {Refusal} */
export function parseChatRequest(body: unknown): ChatRequest {
  const model = (body as { model?: unknown } | null)?.model;
  const request: ChatRequest = check(isEngine(model) ? Loose : Strict, body);
  if (isGiven(request.stream_options) && request.stream !== true) {
    throw invalid("'stream_options' is only allowed when 'stream' is true", 'stream_options');
  }
  if (typeof request.top_logprobs === 'number' && request.logprobs !== true) {
    throw invalid("'top_logprobs' needs 'logprobs' to be true", 'top_logprobs');
  }
  if (isGiven(request.max_tokens) && isGiven(request.max_completion_tokens)) {
    throw invalid("'max_tokens' and 'max_completion_tokens' cannot both be set", 'max_tokens');
  }
  if (!request.tools?.length) {
    if (request.tool_choice !== undefined && request.tool_choice !== 'none') {
      throw invalid("'tool_choice' is only allowed with 'tools'", 'tool_choice');
    }
    if (request.parallel_tool_calls !== undefined) {
      throw invalid("'parallel_tool_calls' is only allowed with 'tools'", 'parallel_tool_calls');
    }
  }
  checkToolTurns(request);
  if (request.response_format?.type === 'json_object') {
    if (!/json/i.test(JSON.stringify(request.messages))) {
      throw invalid("'messages' must contain the word 'json' to ask for 'json_object'", 'messages');
    }
  }
  return request;
}

/** Every call has its result right behind it, and every result its call. */
function checkToolTurns({ messages }: ChatRequest): void {
  let open = new Set<string>();
  const assertAnswered = (): void => {
    if (open.size === 0) return;
    const ids = [...open].join(', ');
    throw invalid(
      `each 'tool_call_id' needs a message of role 'tool': ${ids} has none`,
      'messages',
    );
  };
  for (const [i, message] of messages.entries()) {
    if (message.role === 'tool') {
      if (open.delete(message.tool_call_id)) continue;
      const param = `messages[${i}].role`;
      throw invalid("a message of role 'tool' must follow the 'tool_calls' it answers", param);
    }
    assertAnswered();
    if (message.role !== 'assistant') continue;
    open = new Set(message.tool_calls?.map(({ id }) => id));
    if (!isGiven(message.content) && open.size === 0 && !isGiven(message.refusal)) {
      throw invalid(
        "'content' is needed where there are no 'tool_calls'",
        `messages[${i}].content`,
      );
    }
  }
  assertAnswered();
}

export function askedOfChat(request: ChatRequest): Asked {
  const { messages, tools = [], tool_choice: choice = 'auto', response_format: format } = request;
  return {
    turns: messages.map(({ role, content }): Turn => ({
      by: role === 'developer' ? 'system' : role,
      text: contentText(content),
    })),
    tools: tools.map(({ function: { name, parameters } }) => ({ name, parameters })),
    toolChoice: typeof choice === 'string' ? choice : { name: choice.function.name },
    isParallel: request.parallel_tool_calls ?? true,
    json:
      format?.type === 'json_schema' ? format.json_schema.schema : format?.type === 'json_object',
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? null,
  };
}

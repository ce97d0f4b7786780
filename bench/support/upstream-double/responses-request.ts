import { z } from 'zod';
import { check, invalid, isGiven } from './refusal';
import { contentText, type Asked, type Turn } from './think';

const Name = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/);
const InputPart = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('input_text'), text: z.string() }),
  z.strictObject({
    type: z.literal('input_image'),
    image_url: z.string().nullish(),
    file_id: z.string().nullish(),
    detail: z.string().optional(),
  }),
]);
const OutputPart = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('output_text'),
    text: z.string(),
    annotations: z.array(z.unknown()).optional(),
    logprobs: z.array(z.unknown()).optional(),
  }),
  z.strictObject({ type: z.literal('refusal'), refusal: z.string() }),
]);
const status = z.enum(['in_progress', 'completed', 'incomplete']).nullish();
const Type = z.literal('message').optional();

/** The items that Responses takes and gives. A message needs no `type`. */
const Item = z.union([
  z.strictObject({
    type: Type,
    role: z.enum(['user', 'system', 'developer']),
    content: z.union([z.string(), z.array(InputPart).min(1)]),
    status,
    id: z.string().optional(),
  }),
  z.strictObject({
    type: Type,
    role: z.literal('assistant'),
    content: z.union([z.string(), z.array(OutputPart)]),
    status,
    id: z.string().startsWith('msg_').optional(),
    phase: z.string().nullish(),
  }),
  z.strictObject({
    type: z.literal('function_call'),
    call_id: z.string().min(1),
    name: Name,
    arguments: z.string(),
    parsed_arguments: z.unknown().optional(), // OpenAI's own client adds it
    id: z.string().startsWith('fc_').optional(),
    status,
  }),
  z.strictObject({
    type: z.literal('function_call_output'),
    call_id: z.string().min(1),
    output: z.union([z.string(), z.array(InputPart)]),
    id: z.string().nullish(),
    status,
  }),
  z.strictObject({ type: z.literal('item_reference').nullish(), id: z.string().min(1) }),
]);
export type Item = z.infer<typeof Item>;

const Format = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    name: Name,
    schema: z.looseObject({}),
    strict: z.boolean().nullish(),
    description: z.string().optional(),
  }),
]);

const ResponsesRequest = z.strictObject({
  model: z.string().min(1),
  input: z.union([z.string(), z.array(Item)]),
  instructions: z.string().nullish(),
  previous_response_id: z.string().nullish(),
  store: z.boolean().nullish(),
  tools: z
    .array(
      z.strictObject({
        type: z.literal('function'),
        name: Name,
        description: z.string().nullish(),
        parameters: z.looseObject({ type: z.literal('object') }).nullish(),
        strict: z.boolean().nullish(),
      }),
    )
    .optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.strictObject({ type: z.literal('function'), name: Name }),
    ])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  text: z.strictObject({ format: Format.optional(), verbosity: z.string().nullish() }).nullish(),
  include: z.array(z.string()).nullish(),
  reasoning: z
    .strictObject({ effort: z.string().nullish(), summary: z.string().nullish() })
    .nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_obfuscation: z.boolean().optional() }).nullish(),
  max_output_tokens: z.int().min(16).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  truncation: z.enum(['auto', 'disabled']).nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  user: z.string().optional(),
  safety_identifier: z.string().max(64).nullish(),
  prompt_cache_key: z.string().nullish(),
  service_tier: z.string().nullish(),
});
export type ResponsesRequest = z.infer<typeof ResponsesRequest>;

/** @throws {Refusal} */
export function parseResponsesRequest(body: unknown): ResponsesRequest {
  const request = check(ResponsesRequest, body);
  if (isGiven(request.stream_options) && request.stream !== true) {
    throw invalid("'stream_options' is only allowed when 'stream' is true", 'stream_options');
  }
  return request;
}

export function itemsOf({ input }: ResponsesRequest): readonly Item[] {
  return typeof input === 'string' ? [{ role: 'user', content: input }] : input;
}

/** Every output has its call before it, and every call its output. @throws {Refusal} */
export function checkCalls(items: readonly Item[]): void {
  const open = new Set<string>();
  for (const item of items) {
    if (!('type' in item)) continue;
    if (item.type === 'function_call') open.add(item.call_id);
    if (item.type === 'function_call_output' && !open.delete(item.call_id)) {
      throw invalid(`a function call output needs its call: ${item.call_id} has none`, 'input');
    }
  }
  if (open.size === 0) return;
  throw invalid(`a function call needs its output: ${[...open].join(', ')} has none`, 'input');
}

/** @param items all of the conversation's, the earlier ones too. */
export function askedOfResponses(request: ResponsesRequest, items: readonly Item[]): Asked {
  const { instructions, tools = [], tool_choice: choice, text } = request;
  const format = text?.format;
  return {
    turns: [
      ...(instructions ? [{ by: 'system', text: instructions } as const] : []),
      ...turnsOf(items),
    ],
    tools: tools.map(({ name, parameters }) => ({ name, parameters })),
    toolChoice: typeof choice === 'object' && choice !== null ? choice : (choice ?? 'auto'),
    isParallel: request.parallel_tool_calls ?? true,
    json: format?.type === 'json_schema' ? format.schema : format?.type === 'json_object',
    maxTokens: request.max_output_tokens ?? null,
  };
}

function turnsOf(items: readonly Item[]): Turn[] {
  return items.map((item) => {
    if ('role' in item) {
      const by = item.role === 'developer' ? 'system' : item.role;
      return { by, text: contentText(item.content) };
    }
    if ('output' in item) return { by: 'tool', text: contentText(item.output) };
    return { by: 'assistant', text: 'arguments' in item ? item.arguments : '' };
  });
}

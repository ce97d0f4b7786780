import { z } from 'zod';
import { check, invalid, isGiven } from './refusal';
import { contentText, type Asked, type Turn } from './think';

const cache = { cache_control: z.looseObject({ type: z.literal('ephemeral') }).nullish() };
const Text = z.strictObject({ type: z.literal('text'), text: z.string().min(1), ...cache });
const WrittenText = Text.extend({ citations: z.array(z.unknown()).nullish() });
const Source = z.looseObject({ type: z.enum(['base64', 'url', 'file']) });
const Image = z.strictObject({ type: z.literal('image'), source: Source, ...cache });
const ToolUse = z.strictObject({
  type: z.literal('tool_use'),
  id: z.string().regex(/^[a-zA-Z0-9_-]+$/),
  name: z.string().min(1),
  input: z.looseObject({}),
  caller: z.looseObject({}).optional(),
  ...cache,
});
const ToolResult = z.strictObject({
  type: z.literal('tool_result'),
  tool_use_id: z.string().min(1),
  content: z.union([z.string(), z.array(z.union([Text, Image]))]).optional(),
  is_error: z.boolean().optional(),
  ...cache,
});

const Message = z.discriminatedUnion('role', [
  z.strictObject({
    role: z.literal('user'),
    content: z.union([z.string().min(1), z.array(z.union([Text, Image, ToolResult])).min(1)]),
  }),
  z.strictObject({
    role: z.literal('assistant'),
    content: z.union([z.string().min(1), z.array(z.union([WrittenText, ToolUse])).min(1)]),
  }),
]);

const Tool = z.strictObject({
  type: z.literal('custom').nullish(),
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
  description: z.string().optional(),
  input_schema: z.looseObject({ type: z.literal('object') }),
  strict: z.boolean().optional(),
  ...cache,
});

const parallel = { disable_parallel_tool_use: z.boolean().optional() };
const MessagesRequest = z.strictObject({
  model: z.string().min(1),
  max_tokens: z.int().min(1),
  messages: z.array(Message).min(1),
  system: z.union([z.string(), z.array(Text)]).optional(),
  tools: z.array(Tool).optional(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.enum(['auto', 'any']), ...parallel }),
      z.strictObject({ type: z.literal('none') }),
      z.strictObject({ type: z.literal('tool'), name: z.string(), ...parallel }),
    ])
    .optional(),
  stream: z.boolean().optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_p: z.number().min(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  stop_sequences: z.array(z.string().min(1)).optional(),
  metadata: z.strictObject({ user_id: z.string().max(256).nullish() }).optional(),
  service_tier: z.enum(['auto', 'standard_only']).optional(),
  thinking: z.looseObject({ type: z.enum(['enabled', 'disabled', 'adaptive']) }).optional(),
  thread: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('create') }),
      z.strictObject({ type: z.literal('continue'), previous_message_id: z.string().min(1) }),
    ])
    .nullish(),
});
export type MessagesRequest = z.infer<typeof MessagesRequest>;
export type Message = z.infer<typeof Message>;

const VERSIONS = ['2023-06-01', '2026-10-21'];

/** @throws {Refusal} */
export function parseMessagesRequest(
  body: unknown,
  header: (name: string) => string | undefined,
): MessagesRequest {
  const version = header('anthropic-version');
  if (version === undefined) throw invalid('anthropic-version: header is required', null);
  if (!VERSIONS.includes(version)) {
    throw invalid(`anthropic-version: expected one of ${VERSIONS.join(', ')}`, null);
  }
  const request = check(MessagesRequest, body);
  if (isGiven(request.thread) && header('anthropic-beta') === undefined) {
    throw invalid('thread: needs an anthropic-beta header', 'thread');
  }
  if (request.tool_choice !== undefined && !request.tools?.length) {
    throw invalid('tool_choice: may only be given with tools', 'tool_choice');
  }
  return request;
}

/** A conversation begins with its user, and each tool_use has its tool_result at the head of the next message. @throws {Refusal} */
export function checkTurns(messages: readonly Message[]): void {
  if (messages[0]?.role !== 'user') {
    throw invalid('messages: the first must be of role user', 'messages');
  }
  let open = new Set<string>();
  for (const [i, { role, content }] of messages.entries()) {
    const blocks = typeof content === 'string' ? [] : content;
    const results = blocks.filter((block) => block.type === 'tool_result');
    if (blocks.slice(0, results.length).some(({ type }) => type !== 'tool_result')) {
      throw invalid(`messages.${i}: tool_result blocks come first`, 'messages');
    }
    for (const { tool_use_id: id } of results) {
      if (open.delete(id)) continue;
      throw invalid(`messages.${i}: ${id} has no tool_use in the message before`, 'messages');
    }
    assertAnswered(open, i);
    const uses = blocks.filter((block) => block.type === 'tool_use');
    open = role === 'assistant' ? new Set(uses.map(({ id }) => id)) : new Set();
  }
  assertAnswered(open, messages.length);
}

function assertAnswered(open: ReadonlySet<string>, i: number): void {
  if (open.size === 0) return;
  throw invalid(`messages.${i}: no tool_result for tool_use ${[...open].join(', ')}`, 'messages');
}

/** @param messages all of the conversation's, the earlier ones too. */
export function askedOfMessages(request: MessagesRequest, messages: readonly Message[]): Asked {
  const { system, tools = [], tool_choice: choice } = request;
  const by = { auto: 'auto', any: 'required', none: 'none' } as const;
  return {
    turns: [
      ...(system === undefined ? [] : [{ by: 'system', text: contentText(system) } as const]),
      ...messages.flatMap(turnsOf),
    ],
    tools: tools.map(({ name, input_schema: parameters }) => ({ name, parameters })),
    toolChoice: choice?.type === 'tool' ? { name: choice.name } : by[choice?.type ?? 'auto'],
    isParallel:
      choice === undefined || choice.type === 'none' || choice.disable_parallel_tool_use !== true,
    json: false,
    maxTokens: request.max_tokens,
  };
}

function turnsOf({ role, content }: Message): Turn[] {
  if (typeof content === 'string') return [{ by: role, text: content }];
  return content.flatMap((block): Turn[] => {
    if (block.type === 'text') return [{ by: role, text: block.text }];
    if (block.type === 'tool_result')
      return [{ by: 'tool', text: contentText(block.content ?? '') }];
    return block.type === 'tool_use' ? [{ by: role, text: JSON.stringify(block.input) }] : [];
  });
}

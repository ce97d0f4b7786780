import { z } from 'zod';
import type { ChatRequest } from '../../../schemas/chat';
import type { Tool } from '../../../schemas/message';
import { validate } from '../../http/json-body';
import type { Toolset, ToolsetInterner } from '../../toolset-interner';
import { without } from '../loose-json';
import { Content, toAssistantMessage, toUserMessages } from './content-blocks';

/** The body of `POST /v1/messages`, as loosely as real clients send it. */
const MessagesRequest = z.looseObject({
  model: z.string().min(1),
  messages: z
    .array(z.looseObject({ role: z.enum(['user', 'assistant', 'system']), content: Content }))
    .min(1),
  system: Content.nullish(),
  tool_choice: z.looseObject({ type: z.string(), name: z.string().optional() }).nullish(),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  max_tokens: z.int().nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  top_p: z.number().nullish(),
  top_k: z.int().nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  thread: z.looseObject({ type: z.string(), previous_message_id: z.string().optional() }).nullish(),
});
type MessagesRequest = z.infer<typeof MessagesRequest>;

export interface MessagesBody {
  readonly request: ChatRequest;
  readonly toolset: Toolset | null;
  /** Where the upstream holds the conversation, see Anthropic's message threads. */
  readonly previousId: string | null;
}

/** @throws {RequestError} 400 for what is not a request that we can answer. */
export function parseMessagesBody(text: string, interner: ToolsetInterner): MessagesBody {
  const { body, toolset } = interner.parse(text);
  const { model, system, messages, stream, temperature, metadata, ...read } = validate(
    MessagesRequest,
    body,
  );
  return {
    request: {
      model,
      stream,
      temperature,
      metadata,
      // As chat completions call them: a policy that writes text reads them there.
      max_tokens: read.max_tokens,
      stop: read.stop_sequences,
      top_p: read.top_p,
      top_k: read.top_k,
      messages: [
        ...(system === null || system === undefined || system.length === 0
          ? []
          : toUserMessages('system', system, 'system')),
        ...messages.flatMap(({ role, content }, index) => {
          const path = `messages[${index}].content`;
          return role === 'assistant'
            ? toAssistantMessage(content, path)
            : toUserMessages(role, content, path);
        }),
      ],
      tool_choice: toToolChoice(read.tool_choice),
      ...(toolset === null ? {} : { tools: toolset.tools }),
    },
    toolset,
    previousId: read.thread?.previous_message_id ?? null,
  };
}

const CHOICES: Readonly<Record<string, 'auto' | 'required' | 'none'>> = {
  auto: 'auto',
  any: 'required',
  none: 'none',
};

function toToolChoice(choice: MessagesRequest['tool_choice']): ChatRequest['tool_choice'] {
  if (choice === null || choice === undefined) return choice;
  const { type, name = '' } = choice;
  return type === 'tool' ? { type: 'function', function: { name } } : (CHOICES[type] ?? { type });
}

const Tools = z.array(
  z
    .looseObject({ type: z.string().nullish(), name: z.string().optional() })
    .refine(({ type, name }) => !isOwn(type) || (name !== undefined && name !== ''), {
      message: 'a tool needs its name',
      path: ['name'],
    }),
);

/** Tools that the client runs. Those that the server runs are no functions, and stay as they are. */
export function readMessagesTools(list: readonly unknown[]): Tool[] {
  return validate(Tools, list, ['tools']).map(({ type, name = '', ...rest }) => {
    const more = without(rest, ['cache_control', 'input_schema']);
    if (!isOwn(type)) return { ...more, name, type };
    const schema = rest['input_schema'] === undefined ? {} : { parameters: rest['input_schema'] };
    return { type: 'function', function: { name, ...more, ...schema } };
  });
}

function isOwn(type: string | null | undefined): type is 'custom' | null | undefined {
  return type === null || type === undefined || type === 'custom';
}

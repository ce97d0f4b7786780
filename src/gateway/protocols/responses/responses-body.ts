import { z } from 'zod';
import type { ChatRequest } from '../../../schemas/chat';
import type { Message, Tool } from '../../../schemas/message';
import { validate } from '../../http/json-body';
import { badRequest } from '../../http/request-error';
import type { Toolset, ToolsetInterner } from '../../toolset-interner';
import { heldItemIds, toMessages } from './response-items';

/** The body of `POST /v1/responses`, as loosely as real clients send it: `include: []`, `text: {}` and whatever else there is pass. */
const ResponsesRequest = z.looseObject({
  model: z.string().min(1),
  input: z.union([z.string(), z.array(z.unknown())]).nullish(),
  instructions: z.union([z.string(), z.array(z.unknown())]).nullish(),
  previous_response_id: z.string().nullish(),
  conversation: z.union([z.string(), z.looseObject({ id: z.string() })]).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.string(), name: z.string().optional() }),
    ])
    .nullish(),
  stream: z.boolean().nullish(),
  background: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().nullish(),
  max_output_tokens: z.int().nullish(),
  user: z.string().nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  safety_identifier: z.string().nullish(),
});
type ResponsesRequest = z.infer<typeof ResponsesRequest>;

export interface ResponsesBody {
  readonly request: ChatRequest;
  readonly toolset: Toolset | null;
  readonly previousId: string | null;
  readonly conversationId: string | null;
  readonly heldItemIds: readonly string[];
}

/** @throws {RequestError} 400 for what is not a request that we can answer. */
export function parseResponsesBody(text: string, interner: ToolsetInterner): ResponsesBody {
  const { body, toolset } = interner.parse(text);
  const read = validate(ResponsesRequest, body);
  if (read.background === true) {
    throw badRequest(
      'the gateway answers calls, and does not follow work in the background: leave it out',
      'unsupported_value',
      'background',
    );
  }
  const messages = [
    ...toInstructions(read.instructions),
    ...(typeof read.input === 'string'
      ? [{ role: 'user' as const, content: read.input }]
      : toMessages(read.input ?? [], 'input')),
  ];
  const { conversation, previous_response_id: previousId } = read;
  return {
    request: {
      ...toRequest(read, messages),
      ...(toolset === null ? {} : { tools: toolset.tools }),
    },
    toolset,
    previousId: previousId ?? null,
    conversationId: (typeof conversation === 'string' ? conversation : conversation?.id) ?? null,
    heldItemIds: heldItemIds(messages),
  };
}

function toInstructions(instructions: ResponsesRequest['instructions']): Message[] {
  if (instructions === null || instructions === undefined || instructions === '') return [];
  return typeof instructions === 'string'
    ? [{ role: 'system', content: instructions }]
    : toMessages(instructions, 'instructions');
}

function toRequest(read: ResponsesRequest, messages: Message[]): ChatRequest {
  const { model, stream, temperature, user, metadata } = read;
  const { tool_choice: choice, safety_identifier: safetyIdentifier } = read;
  return {
    model,
    messages,
    stream,
    temperature,
    // As chat completions call them: a policy that writes text reads them there.
    top_p: read.top_p,
    max_tokens: read.max_output_tokens,
    user,
    metadata,
    safety_identifier: safetyIdentifier,
    tool_choice:
      typeof choice === 'object' && choice?.type === 'function'
        ? { type: 'function', function: { name: choice.name ?? '' } }
        : choice,
    instructions: read.instructions, // an answer repeats them
  };
}

const Tools = z.array(
  z
    .looseObject({ type: z.string(), name: z.string().optional() })
    .refine(({ type, name }) => type !== 'function' || (name !== undefined && name !== ''), {
      message: 'a function needs its name',
      path: ['name'],
    }),
);

/** Functions, whose members lie flat here. Hosted tools are no functions, and stay as they are. */
export function readResponsesTools(list: readonly unknown[]): Tool[] {
  return validate(Tools, list, ['tools']).map(({ type, ...rest }) =>
    type === 'function'
      ? { type, function: { ...rest, name: rest.name ?? '' } }
      : { ...rest, type },
  );
}

import { z } from 'zod';
import { InvalidInputError } from '../../../errors';
import type { ChatRequest } from '../../../schemas/chat';
import type { TokenSampling } from '../generation/sampling';
import type { ChatCall } from './chat-model';

/**
 * What a chat completion may say about how it is written, in OpenAI's names, and in vLLM's where OpenAI has none. Members that would change an
 * answer and that we cannot honour are refused by name, not ignored.
 */
const Asked = z.looseObject({
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().max(10).nullish(),
  seed: z.int().min(0).nullish(),
  stop: z
    .union([z.string(), z.array(z.string()).max(16)])
    .nullish()
    .transform((stop) => (typeof stop === 'string' ? [stop] : (stop ?? []))),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
  n: z.literal(1, { error: 'expected 1: a policy gives one answer per request' }).nullish(),
  frequency_penalty: z.literal(0, { error: 'is not supported, repetition_penalty is' }).nullish(),
  presence_penalty: z.literal(0, { error: 'is not supported, repetition_penalty is' }).nullish(),
  logit_bias: z.record(z.string(), z.unknown()).refine(isEmpty, 'is not supported').nullish(),
  response_format: z
    .looseObject({ type: z.literal('text', { error: 'only text is supported' }) })
    .nullish(),
});

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

/**
 * @param temperature what the caller's session pins, or the request asks for. @param seed for a request that names none.
 * @throws {InvalidInputError} naming every member that is wrong or not supported.
 */
export function chatCallOf(request: ChatRequest, temperature: number, seed: number): ChatCall {
  const parsed = Asked.safeParse(request);
  if (!parsed.success) {
    throw new InvalidInputError(
      `the language model cannot take the request: ${z.prettifyError(parsed.error)}`,
    );
  }
  const asked = parsed.data;
  const sampling: TokenSampling = {
    temperature,
    topK: Math.max(0, asked.top_k ?? 0), // −1 is vLLM's word for all
    topP: asked.top_p ?? 1,
    minP: asked.min_p ?? 0,
    repetitionPenalty: asked.repetition_penalty ?? 1,
  };
  return {
    messages: request.messages,
    tools: request.tool_choice === 'none' ? [] : (request.tools ?? []),
    toolChoice: toolChoiceOf(request.tool_choice),
    sampling,
    seed: asked.seed ?? seed,
    maxTokens: asked.max_completion_tokens ?? asked.max_tokens ?? null,
    stop: asked.stop,
    variables: asked.chat_template_kwargs ?? {},
  };
}

function toolChoiceOf(choice: ChatRequest['tool_choice']): ChatCall['toolChoice'] {
  if (choice === null || choice === undefined || choice === 'auto' || choice === 'none') {
    return 'auto';
  }
  if (choice === 'required') return 'required';
  if (choice.function !== undefined) return { tool: choice.function.name };
  throw new InvalidInputError(`tool_choice of type ${choice.type} is not supported`);
}

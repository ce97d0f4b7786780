import type { Usage } from '../../schemas/decision';
import { aiSdk } from './conventions/ai-sdk';
import { genAiMessages } from './conventions/genai-messages';
import { indexedPrompts } from './conventions/indexed-prompts';
import { messageEvents } from './conventions/message-events';
import type { Convention, Said } from './conventions/observed';
import { openInference } from './conventions/open-inference';
import type { JsonTexts } from './json-texts';
import type { Attributes, OtlpSpan } from './otlp-span';
import { isObject } from './otlp-span';

/** A model call as a span describes it. */
export interface ObservedSpan extends Said {
  readonly span: OtlpSpan;
  /** What the agent calls the conversation; null where the trace has to do. */
  readonly conversation: string | null;
  readonly user: string | null;
  readonly provider: string;
  readonly model: string;
  readonly responseId: string | null;
  readonly temperature: number | null;
  readonly usage: Usage | null;
}

/** Newest first: a span that speaks in several ways is taken at its newest word. */
const CONVENTIONS: readonly Convention[] = [
  ...[genAiMessages, messageEvents, aiSdk, openInference, indexedPrompts],
];

/** Whether a span is a call of a model, and not of an agent, a tool, a chain, a database; by what each way of writing says so. */
export function isModelCall({ attributes }: OtlpSpan): boolean {
  const is = (name: string, ...words: readonly unknown[]): boolean =>
    words.includes(attributes.get(name));
  return (
    is('gen_ai.operation.name', 'chat', 'generate_content', 'text_completion') ||
    is('openinference.span.kind', 'LLM') ||
    is('llm.request.type', 'chat', 'completion') ||
    /^ai\.[A-Za-z]+\.(?:doGenerate|doStream)$/.test(String(attributes.get('ai.operationId')))
  );
}

// Of the same thing, the newest name first; keys of their own are what people set by hand.
const CONVERSATION = [
  ...['gen_ai.conversation.id', 'session.id', 'traceloop.association.properties.session_id'],
  ...['traceloop.association.properties.conversation_id', 'ai.telemetry.metadata.sessionId'],
];
const USER = [
  ...['user.id', 'enduser.id', 'traceloop.association.properties.user_id'],
  'ai.telemetry.metadata.userId',
];
const PROVIDER = ['gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system'];
const MODEL = ['gen_ai.response.model', 'gen_ai.request.model', 'llm.model_name'];

/**
 * @returns null if the span does not hold what was answered: its agent does not capture what is said, or the call failed.
 * @throws {UnusableSpan} if what it holds cannot be read.
 */
export function readModelCall(span: OtlpSpan, json: JsonTexts): ObservedSpan | null {
  const { attributes } = span;
  const text = (names: readonly string[]): string | null => firstText(attributes, names);
  for (const convention of CONVENTIONS) {
    const said = convention(span, json);
    if (said === null || said.output.length === 0) continue;
    const reasons = attributes.get('gen_ai.response.finish_reasons');
    const [reason] = Array.isArray(reasons) ? (reasons as unknown[]) : [];
    return {
      ...{ ...said, span },
      finishReason: said.finishReason ?? (typeof reason === 'string' ? reason : null),
      conversation: text(CONVERSATION),
      user: text(USER),
      provider: text(PROVIDER) ?? 'unknown',
      model: text(MODEL) ?? 'unknown',
      responseId: text(['gen_ai.response.id', 'ai.response.id']),
      temperature: temperatureOf(attributes, json),
      usage: usageOf(attributes),
    };
  }
  return null;
}

function temperatureOf(attributes: Attributes, json: JsonTexts): number | null {
  const parameters = json.read(attributes.get('llm.invocation_parameters'));
  const said = isObject(parameters) ? parameters['temperature'] : null;
  return (
    number(attributes, ['gen_ai.request.temperature']) ?? (typeof said === 'number' ? said : null)
  );
}

function usageOf(attributes: Attributes): Usage | null {
  const count = (...names: string[]): number | null => {
    const value = number(attributes, names);
    return value !== null && Number.isSafeInteger(value) && value >= 0 ? value : null;
  };
  const promptTokens = count(
    ...['gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.token_count.prompt'],
  );
  const completionTokens = count(
    ...['gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens'],
    'llm.token_count.completion',
  );
  if (promptTokens === null || completionTokens === null) return null;
  const cacheReadTokens = count(
    ...['gen_ai.usage.cache_read.input_tokens', 'gen_ai.usage.cache_read_input_tokens'],
    ...['llm.token_count.prompt_details.cache_read', 'ai.usage.cachedInputTokens'],
  );
  const cacheWriteTokens = count(
    ...['gen_ai.usage.cache_creation.input_tokens', 'gen_ai.usage.cache_creation_input_tokens'],
    'llm.token_count.prompt_details.cache_write',
  );
  return {
    ...{ promptTokens, completionTokens },
    ...(cacheReadTokens === null ? {} : { cacheReadTokens }),
    ...(cacheWriteTokens === null ? {} : { cacheWriteTokens }),
  };
}

function firstText(attributes: Attributes, names: readonly string[]): string | null {
  for (const name of names) {
    const value = attributes.get(name);
    if (typeof value === 'string' && value !== '') return value;
  }
  return null;
}

function number(attributes: Attributes, names: readonly string[]): number | null {
  for (const name of names) {
    const value = attributes.get(name);
    if (typeof value === 'number') return value;
  }
  return null;
}

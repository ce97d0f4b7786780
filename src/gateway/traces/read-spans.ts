import type { Usage } from '../../schemas/decision';
import { genAiMessages } from './conventions/genai-messages';
import type { Convention, Said } from './conventions/observed';
import type { JsonTexts } from './json-texts';
import type { Attributes, OtlpSpan } from './otlp-span';

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
const CONVENTIONS: readonly Convention[] = [genAiMessages];

const MODEL_CALLS: readonly unknown[] = ['chat', 'generate_content', 'text_completion'];

/** Whether a span is a call of a model, and not of an agent, a tool, a chain, a database. */
export function isModelCall({ attributes }: OtlpSpan): boolean {
  return MODEL_CALLS.includes(attributes.get('gen_ai.operation.name'));
}

/**
 * @returns null if the span does not hold what was answered: its agent does not capture what is said, or the call failed.
 * @throws {UnusableSpan} if what it holds cannot be read.
 */
export function readModelCall(span: OtlpSpan, json: JsonTexts): ObservedSpan | null {
  for (const convention of CONVENTIONS) {
    const said = convention(span, json);
    if (said === null || said.output.length === 0) continue;
    const { attributes } = span;
    const text = (...names: string[]): string | null => firstText(attributes, names);
    const reasons = attributes.get('gen_ai.response.finish_reasons');
    const [reason] = Array.isArray(reasons) ? (reasons as unknown[]) : [];
    return {
      ...{ ...said, span },
      finishReason: said.finishReason ?? (typeof reason === 'string' ? reason : null),
      conversation: text('gen_ai.conversation.id', 'session.id'),
      user: text('user.id', 'enduser.id'),
      provider: text('gen_ai.provider.name', 'gen_ai.system') ?? 'unknown',
      model: text('gen_ai.response.model', 'gen_ai.request.model') ?? 'unknown',
      responseId: text('gen_ai.response.id'),
      temperature: number(attributes, ['gen_ai.request.temperature']),
      usage: usageOf(attributes),
    };
  }
  return null;
}

function usageOf(attributes: Attributes): Usage | null {
  const count = (...names: string[]): number | null => {
    const value = number(attributes, names);
    return value !== null && Number.isSafeInteger(value) && value >= 0 ? value : null;
  };
  const promptTokens = count('gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens');
  const completionTokens = count('gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens');
  if (promptTokens === null || completionTokens === null) return null;
  const cacheReadTokens = count('gen_ai.usage.cache_read.input_tokens');
  const cacheWriteTokens = count('gen_ai.usage.cache_creation.input_tokens');
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

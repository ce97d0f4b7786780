import type { Usage } from '../../schemas/decision';
import { notOfProtocol } from './not-of-protocol';

/** What others send may be anything: these look before they take. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : null;
}

/** The elements that are objects; none of what is no array. */
export function objectsOf(value: unknown): readonly JsonObject[] {
  if (!Array.isArray(value)) return [];
  return value.map(asObject).filter((item) => item !== null);
}

export function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

export function without(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)));
}

/** The answer of an upstream, or an event of it. @throws {UpstreamError} if it is not a JSON object. */
export function parseAnswer(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notOfProtocol('JSON'); // the parser's own message quotes the text
  }
  const body = asObject(value);
  if (body === null) throw notOfProtocol('a JSON object');
  return body;
}

/** @returns null unless both members count tokens. What came from a cache stands in the details of the prompt's tokens, in OpenAI's protocols. */
export function tokenCounts(
  usage: JsonObject | null,
  prompt: string,
  completion: string,
): Usage | null {
  const [promptTokens, completionTokens] = [usage?.[prompt], usage?.[completion]];
  if (!isCount(promptTokens) || !isCount(completionTokens)) return null;
  const cached = asObject(usage?.[`${prompt}_details`])?.['cached_tokens'];
  return {
    promptTokens,
    completionTokens,
    ...(isCount(cached) ? { cacheReadTokens: cached } : {}),
  };
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

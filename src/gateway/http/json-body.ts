import type { z } from 'zod';
import { findJsonError } from './json-error';
import { assertParseable, MAX_DEPTH, MAX_NODES, tooDeep } from './json-limits';
import { badRequest } from './request-error';

/**
 * @param maxNodes see json-limits.ts.
 * @throws {RequestError} 400 that says where the text stops being JSON. It quotes nothing of it: bodies may hold secrets.
 */
export function parseJson(text: string, maxNodes = MAX_NODES): unknown {
  assertParseable(text, maxNodes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Its message depends on Node's version and quotes the body; ours says where.
    const error = findJsonError(text);
    const where =
      error === null
        ? ''
        : ` at position ${error.offset} (line ${error.line}, column ${error.column}): expected ${error.expected}`;
    throw badRequest(`the body is not valid JSON${where}`, 'invalid_json');
  }
  // A client that cuts a text in the middle of an emoji sends half of a surrogate pair, which no UTF-8 can hold and canonical JSON
  // refuses; it becomes U+FFFD. It can only have come as an escape.
  const wellFormed = /\\u[dD][89a-fA-F]/.test(text) ? toWellFormed(value) : value;
  assertOrdinary(wellFormed, MAX_DEPTH);
  return wellFormed;
}

/** @throws {RequestError} 400 with the path of the first wrong field in `param`. */
export function validate<T>(schema: z.ZodType<T>, value: unknown, path: readonly string[] = []): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const param = pathText([...path, ...(issue?.path ?? [])]);
  const message = issue?.message ?? 'not valid';
  throw badRequest(
    param === '' ? `the body is not valid: ${message}` : `${param} is not valid: ${message}`,
    'invalid_request',
    param,
  );
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, '');
}

/**
 * What somebody else wrote as JSON, as it can be recorded: see parseJson, which does the same with a body.
 *
 * @throws {RequestError} 400 for what canonical JSON cannot hold, or that is nested too deeply.
 */
export function toOrdinary(value: unknown): unknown {
  const wellFormed = toWellFormed(value);
  assertOrdinary(wellFormed, MAX_DEPTH);
  return wellFormed;
}

function assertOrdinary(value: unknown, levels: number): void {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    // JSON.parse makes infinity of 1e999, which could be neither recorded nor written as JSON again: said before anybody is asked.
    throw badRequest(
      'the body has a number that is too large: expected at most 1.8e308',
      'invalid_json',
    );
  }
  if (typeof value !== 'object' || value === null) return;
  if (levels === 0) throw tooDeep();
  for (const member of Object.values(value)) assertOrdinary(member, levels - 1);
}

function toWellFormed(value: unknown, levels = 2 * MAX_DEPTH): unknown {
  if (typeof value === 'string') return value.replace(/\p{Surrogate}/gu, '\ufffd');
  if (typeof value !== 'object' || value === null || levels === 0) return value;
  if (Array.isArray(value)) return value.map((item) => toWellFormed(item, levels - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key.replace(/\p{Surrogate}/gu, '\ufffd'),
      toWellFormed(member, levels - 1),
    ]),
  );
}

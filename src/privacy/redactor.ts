import type { PrivacySettings } from '../schemas/privacy-config';
import { createFindSpans } from './find-spans';
import { isDenied, parseJsonPath } from './json-paths';

export interface Redactor {
  text(text: string): string;
  /** All texts of a JSON value, names of members and long numbers included. The same value where there is nothing to replace. */
  json<T>(value: T): T;
}

/** Deeper values than this are replaced as a whole: nobody can look into them without end. */
const MAX_DEPTH = 100;
/** Shorter numbers are neither cards nor telephones. */
const LONG_NUMBER = 10_000_000;

/**
 * Replaces by the settings of one agent.
 *
 * @param onReplaced is told of each value, by kind.
 * @throws {InvalidInputError} if one of the patterns is not valid.
 */
export function createRedactor(
  settings: PrivacySettings,
  placeholder: (kind: string, value: string) => string,
  onReplaced: (kind: string) => void,
): Redactor {
  const findSpans = createFindSpans(settings);
  const denied = settings.deny.map(parseJsonPath);

  const replace = (kind: string, value: string): string => {
    onReplaced(kind);
    return placeholder(kind, value);
  };

  const text = (given: string): string => {
    const spans = findSpans(given);
    if (spans.length === 0) return given;
    let [out, at] = ['', 0];
    for (const { start, end, kind, value, quote } of spans) {
      const put = replace(kind, value);
      const mark = quote ?? quoteOfNumber(given, start, end);
      out += given.slice(at, start) + mark + put + mark;
      at = end;
    }
    return out + given.slice(at);
  };

  const walk = (value: unknown, names: readonly string[], depth: number): unknown => {
    if (typeof value === 'string') return text(value);
    if (typeof value === 'number') {
      if (!Number.isInteger(value) || Math.abs(value) < LONG_NUMBER) return value;
      const written = String(value);
      const redacted = text(written);
      return redacted === written ? value : redacted;
    }
    if (typeof value !== 'object' || value === null) return value;
    if (depth > MAX_DEPTH) return replace('unsearched', '');
    if (Array.isArray(value)) {
      let copy: unknown[] | null = null;
      for (const [i, element] of value.entries()) {
        const redacted = walk(element, names, depth + 1);
        if (redacted !== element) (copy ??= [...(value as unknown[])])[i] = redacted;
      }
      return copy ?? value;
    }
    let isChanged = false;
    const entries = Object.entries(value).map(([name, member]) => {
      const path = denied.length === 0 ? names : [...names, name];
      const isHidden = denied.length > 0 && isDenied(denied, path);
      const redacted = isHidden
        ? replace('denied', JSON.stringify(member) ?? '')
        : walk(member, path, depth + 1);
      const key = text(name);
      isChanged ||= redacted !== member || key !== name;
      return [key, redacted] as const;
    });
    return isChanged ? Object.fromEntries(entries) : value;
  };

  return { text, json: <T>(value: T): T => walk(value, [], 0) as T };
}

const MEMBER_BEFORE = /(\\{0,7}")[ \t]*:[ \t]*$/;

/** What a placeholder for a bare number of JSON has to stand between, so that the JSON stays one: the quotes of its member's name. */
function quoteOfNumber(text: string, start: number, end: number): string {
  if (!/^\d+$/.test(text.slice(start, end)) || !/^[\s,}\]]?$/.test(text.charAt(end))) return '';
  return MEMBER_BEFORE.exec(text.slice(Math.max(0, start - 16), start))?.[1] ?? '';
}

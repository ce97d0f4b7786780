import { countNodes, MAX_NODES } from '../http/json-limits';
import { RequestError } from '../http/request-error';
import { UnusableSpan } from './unusable-span';

/**
 * Reads the JSON that stands as text in attributes. A body's limits know nothing of what is within its texts: each may hold what a call's body
 * may, and all of one body together have a bound of their own.
 */
export class JsonTexts {
  #left: number;

  /** @param maxNodes strings, objects and arrays of all texts (json-limits.ts). */
  constructor(readonly maxNodes: number) {
    this.#left = maxNodes;
  }

  /**
   * What a text says, if it is an object or an array of JSON; everything else as it is.
   *
   * @throws {UnusableSpan} if it is too much, or nested too deeply.
   */
  read(value: unknown): unknown {
    if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
    this.#count(value);
    try {
      return JSON.parse(value) as unknown;
    } catch {
      return value; // plain text
    }
  }

  /**
   * @param what of the span it is.
   * @throws {UnusableSpan} also if there is something, and it is no list: a part of a conversation must not be taken for all of it.
   */
  list(value: unknown, what: string): readonly unknown[] {
    if (value === undefined || value === null || value === '') return [];
    const list = this.read(value);
    if (Array.isArray(list)) return list;
    throw new UnusableSpan(
      `its ${what} is no JSON: expected a list; a limit on the length of attributes (OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT) may have cut it off`,
    );
  }

  #count(text: string): void {
    try {
      this.#left -= countNodes(text, Math.min(this.#left, MAX_NODES));
    } catch (cause) {
      if (!(cause instanceof RequestError)) throw cause;
      const message =
        cause.reason === 'body_too_complex'
          ? `its JSON has too many parts: expected at most ${MAX_NODES} strings, objects and arrays in an attribute, ${this.maxNodes} in a request`
          : 'a JSON text of it is nested too deeply';
      throw new UnusableSpan(message, { cause });
    }
  }
}

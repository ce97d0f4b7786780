import { InvalidInputError } from '../errors';

/**
 * JSON with one spelling per value: RFC 8785 (https://www.rfc-editor.org/rfc/rfc8785). Object keys are sorted by UTF-16 code units, no
 * white space, numbers and strings as ECMAScript writes them, so -0 is `0`.
 *
 * Properties that are undefined are left out, as in JSON.stringify. Everything else that JSON would change silently is refused: NaN,
 * infinities, bigint, undefined in an array, functions, symbols, lone surrogates, cycles, and objects that are not plain (a Date, a
 * Map, a typed array).
 *
 * @throws {InvalidInputError} naming the path of the first value that JSON cannot hold.
 */
export function canonicalJson(value: unknown): string {
  return write(value, '$', []);
}

function write(value: unknown, path: string, ancestors: readonly object[]): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw refuse(path, `the number ${value}`);
    return JSON.stringify(value);
  }
  if (typeof value === 'string') return writeString(value, path);
  if (typeof value !== 'object') throw refuse(path, `a value of type ${typeof value}`);
  if (ancestors.includes(value)) throw refuse(path, 'a cycle');

  const inside = [...ancestors, value];
  if (Array.isArray(value)) {
    // Array.from visits holes as undefined, which `map` would skip.
    const items = Array.from(value as unknown[], (item, i) => write(item, `${path}[${i}]`, inside));
    return `[${items.join(',')}]`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw refuse(path, `an instance of ${value.constructor.name}`);
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => {
      const memberPath = `${path}.${key}`;
      return `${writeString(key, memberPath)}:${write(member, memberPath, inside)}`;
    });
  return `{${members.join(',')}}`;
}

function writeString(text: string, path: string): string {
  // JSON.stringify would escape a lone surrogate, and a reader in another language may then refuse or replace it.
  if (LONE_SURROGATE.test(text)) throw refuse(path, 'a string with half of a surrogate pair');
  return JSON.stringify(text);
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function refuse(path: string, got: string): InvalidInputError {
  return new InvalidInputError(`a value cannot be written as JSON: expected JSON, got ${got}`, {
    context: { path },
  });
}

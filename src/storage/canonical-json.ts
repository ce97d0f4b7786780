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
  // What is ordinary is put in order and left to JSON.stringify, which is many times faster. `write` defines what comes out, and says
  // what is wrong with the rest.
  const ordered = inOrder(value, 0);
  return ordered === UNUSUAL ? write(value, '$', []) : JSON.stringify(ordered);
}

const UNUSUAL = Symbol('not ordinary');

/** Deeper than this may be a cycle. */
const MAX_DEPTH = 100;

/** The value with the keys of every object sorted (itself where they are), or UNUSUAL for anything that takes a closer look. */
function inOrder(value: unknown, depth: number): unknown {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return isWellFormed(value) ? value : UNUSUAL;
  if (typeof value === 'number') return Number.isFinite(value) ? value : UNUSUAL;
  if (typeof value !== 'object' || depth > MAX_DEPTH) return UNUSUAL;
  if (Array.isArray(value)) return arrayInOrder(value, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return UNUSUAL;
  return objectInOrder(value as Record<string, unknown>, depth);
}

function arrayInOrder(items: readonly unknown[], depth: number): unknown {
  let copy: unknown[] | null = null;
  for (let i = 0; i < items.length; i++) {
    const item = inOrder(items[i], depth + 1);
    if (item === UNUSUAL) return UNUSUAL;
    if (item !== items[i]) (copy ??= [...items])[i] = item;
  }
  return copy ?? items;
}

function objectInOrder(members: Readonly<Record<string, unknown>>, depth: number): unknown {
  const keys = Object.keys(members);
  let isSorted = true;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    // Engines put keys that are numbers first, and a copy would take `__proto__` for its prototype.
    if (!isWellFormed(key) || /^[0-9]|^__proto__$/.test(key)) return UNUSUAL;
    if (i > 0 && key < (keys[i - 1] as string)) isSorted = false;
  }
  let copy: Record<string, unknown> | null = isSorted ? null : {};
  if (!isSorted) keys.sort();
  for (const key of keys) {
    const before = members[key];
    const member = before === undefined ? before : inOrder(before, depth + 1);
    if (member === UNUSUAL) return UNUSUAL;
    if (copy === null && member !== before) copy = { ...members };
    if (copy !== null) copy[key] = member;
  }
  return copy ?? members;
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
  if (!isWellFormed(text)) throw refuse(path, 'a string with half of a surrogate pair');
  return JSON.stringify(text);
}

/** ECMAScript 2024, in every Node that we support; TypeScript's es2023 does not know it. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

function refuse(path: string, got: string): InvalidInputError {
  return new InvalidInputError(`a value cannot be written as JSON: expected JSON, got ${got}`, {
    context: { path },
  });
}

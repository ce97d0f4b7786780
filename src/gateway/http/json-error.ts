/** Where a text stops being JSON. */
export interface JsonError {
  /** UTF-16 units from the start. */
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  readonly expected: string;
}

const WHITE_SPACE = /[ \t\n\r]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const SCALAR = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/**
 * Finds the first place where `text` is not JSON (RFC 8259). `JSON.parse` of Node 20 does not always say where, and quotes the text
 * around it, which may hold secrets. Runs only once parsing has failed.
 *
 * @returns null if the text is JSON.
 */
export function findJsonError(text: string): JsonError | null {
  const scanner = new Scanner(text);
  const expected = scanner.scan();
  if (expected === null) return null;
  const before = text.slice(0, scanner.offset).split('\n');
  return {
    offset: scanner.offset,
    line: before.length,
    column: (before.at(-1) ?? '').length + 1,
    expected,
  };
}

/** Each method returns what it expected at `offset`, or null if it was there. Not recursive: nesting may be as deep as the text is long. */
class Scanner {
  offset = 0;
  /** What closes the arrays and objects that are open, innermost last. */
  readonly #open: ('}' | ']')[] = [];

  constructor(readonly text: string) {}

  scan(): string | null {
    for (;;) {
      const missing = this.#value() ?? this.#separators();
      if (missing !== null) return missing;
      if (this.#open.length === 0) {
        this.#skip(WHITE_SPACE);
        return this.offset === this.text.length ? null : 'the end';
      }
    }
  }

  /** A scalar, a string, or all that opens up to the next value; an empty array or object is a value. */
  #value(): string | null {
    for (;;) {
      if (this.#take('[')) {
        if (this.#take(']')) return null;
        this.#open.push(']');
      } else if (this.#take('{')) {
        if (this.#take('}')) return null;
        this.#open.push('}');
        const missing = this.#key();
        if (missing !== null) return missing;
      } else if (this.text[this.offset] === '"') return this.#string();
      else return this.#skip(SCALAR) ? null : 'a value';
    }
  }

  /** What stands between the end of a value and the next one: closing brackets, then a comma and, in an object, a key. */
  #separators(): string | null {
    for (;;) {
      const closing = this.#open.at(-1);
      if (closing === undefined) return null;
      if (this.#take(closing)) this.#open.pop();
      else if (this.#take(',')) return closing === '}' ? this.#key() : null;
      else return `"," or "${closing}"`;
    }
  }

  #key(): string | null {
    this.#skip(WHITE_SPACE);
    if (this.text[this.offset] !== '"') return 'a key in double quotes';
    return this.#string() ?? (this.#take(':') ? null : '":"');
  }

  #string(): string | null {
    this.offset++;
    for (;;) {
      const character = this.text[this.offset];
      if (character === undefined || character < ' ') return 'a double quote that ends the string';
      if (character === '\\') {
        if (!this.#skip(ESCAPE)) return 'an escape sequence';
        continue;
      }
      this.offset++;
      if (character === '"') return null;
    }
  }

  #take(character: string): boolean {
    this.#skip(WHITE_SPACE);
    if (this.text[this.offset] !== character) return false;
    this.offset++;
    return true;
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.offset;
    const match = pattern.exec(this.text);
    if (match === null) return false;
    this.offset += match[0].length;
    return true;
  }
}

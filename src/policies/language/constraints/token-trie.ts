import { InvalidInputError } from '../../../errors';
import type { State } from './machine';

/**
 * The bytes of all tokens of a vocabulary as a tree, so that tokens that begin alike are judged together. Nodes are numbers; their
 * children stand side by side, ascending, as do all tokens in byte order.
 */
export class TokenTrie {
  readonly size: number;
  /** Tokens in byte order, and their bytes one after the other. */
  readonly #ids: Int32Array;
  readonly #tokens: readonly Uint8Array[];

  /** @param bytesOf null for a token that is no text. @param size of the vocabulary. */
  constructor(size: number, bytesOf: (id: number) => Uint8Array | null) {
    this.size = size;
    const entries: { readonly id: number; readonly bytes: Uint8Array }[] = [];
    for (let id = 0; id < size; id++) {
      const bytes = bytesOf(id);
      if (bytes !== null && bytes.length > 0) entries.push({ id, bytes });
    }
    entries.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    this.#ids = Int32Array.from(entries, ({ id }) => id);
    this.#tokens = entries.map(({ bytes }) => bytes);
  }

  /** @returns bit i % 32 of word i >> 5: whether the state takes all bytes of token i. */
  allowedBy(state: State): Uint32Array {
    const allowed = new Uint32Array(Math.ceil(this.size / 32));
    this.#visit(state, 0, this.#ids.length, 0, allowed);
    return allowed;
  }

  /** Tokens [from, to) agree in their first `depth` bytes, which led to the state. */
  #visit(state: State, from: number, to: number, depth: number, allowed: Uint32Array): void {
    let at = from;
    while (at < to) {
      const token = this.#tokens[at] as Uint8Array;
      if (token.length === depth) {
        const id = this.#ids[at] as number;
        allowed[id >> 5] = (allowed[id >> 5] as number) | (1 << (id & 31));
        at++;
        continue;
      }
      const byte = token[depth] as number;
      const end = this.#endOf(at, to, depth, byte);
      const next = state.step(byte);
      if (next !== null) this.#visit(next, at, end, depth + 1, allowed);
      at = end;
    }
  }

  /** The first token from `at` on whose byte at `depth` is another one. */
  #endOf(at: number, to: number, depth: number, byte: number): number {
    let [low, high] = [at + 1, to];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#tokens[middle]?.[depth] as number) > byte) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** @throws {InvalidInputError} if no token is allowed: the vocabulary cannot write what has to come. */
export function assertSome(allowed: Uint32Array): void {
  if (allowed.some((word) => word !== 0)) return;
  throw new InvalidInputError(
    'no token of the vocabulary can go on: it cannot write what the schema demands here',
  );
}

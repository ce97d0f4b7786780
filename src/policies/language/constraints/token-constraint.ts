import { InvalidInputError } from '../../../errors';
import type { TokenConstraint } from '../generation/generation';
import { Machine, type Stack, type State } from './machine';
import { assertSome, type TokenTrie } from './token-trie';

/** A vocabulary whose tokens can be held to a text. */
export interface ConstrainedVocabulary {
  readonly trie: TokenTrie;
  /** null for a token that is no text. */
  readonly bytesOf: (id: number) => Uint8Array | null;
  /** They may come where the text is complete, and nowhere else. */
  readonly stopTokens: ReadonlySet<number>;
}

/** Holds tokens to a text: only those may come whose bytes go on with it. */
export function constrainTokens(vocabulary: ConstrainedVocabulary, text: Stack): TokenConstraint {
  const { trie, bytesOf, stopTokens } = vocabulary;
  const masks = new WeakMap<State, Uint32Array>(); // states come again: within a string nearly all of them are one

  function allowedIn(state: State): Uint32Array {
    const known = masks.get(state);
    if (known !== undefined) return known;
    const allowed = trie.allowedBy(state);
    if (state.isComplete) {
      for (const id of stopTokens) allowed[id >> 5] = (allowed[id >> 5] ?? 0) | (1 << (id & 31));
    }
    assertSome(allowed);
    masks.set(state, allowed);
    return allowed;
  }

  const at = (state: State): TokenConstraint => ({
    allowed: () => allowedIn(state),
    accept(token) {
      const bytes = bytesOf(token);
      let next: State | null = bytes === null ? null : state;
      for (const byte of bytes ?? []) next = next?.step(byte) ?? null;
      if (next !== null) return at(next);
      throw new InvalidInputError('a token may not come here', { context: { token } });
    },
  });
  return at(new Machine().start(text));
}

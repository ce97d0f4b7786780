import type { TextStream } from '../generation/generation';
import type { LanguageTokenizer } from './tokenizer';

/** In bytes, and so in tokens. */
const LONGEST_BEGINNING = 3;

/**
 * The text of tokens as they come. What was shown, with `end`, is what decoding all tokens at once gives.
 *
 * A token's text depends on those before it (sentencepiece's first space, bytes of one character in several tokens), so a few of them
 * are decoded along, and what they alone give is taken off.
 */
export function createTextStream(tokenizer: LanguageTokenizer): TextStream {
  /** Decoded along with what is new. */
  let context: number[] = [];
  /** Not shown yet. */
  let open: number[] = [];

  /** Shows the first `count` of what is open. */
  function show(count: number): string {
    const before = tokenizer.decode(context);
    const shown = open.slice(0, count);
    const text = tokenizer.decode([...context, ...shown]).slice(before.length);
    context = shown;
    open = open.slice(count);
    return text;
  }

  /** How many of the open tokens can be shown: not those whose last bytes may begin a character. */
  function ready(): number {
    const text = tokenizer.decode([...context, ...open]).slice(tokenizer.decode(context).length);
    const broken = /\ufffd*$/u.exec(text)?.[0].length ?? 0;
    if (text === '') return 0;
    if (broken === 0) return open.length;
    // A character that only began is at most three bytes: more than that were never one.
    return broken > LONGEST_BEGINNING ? open.length - LONGEST_BEGINNING : 0;
  }

  return {
    push(token) {
      open.push(token);
      const count = ready();
      return count === 0 ? '' : show(count);
    },
    end: () => show(open.length),
  };
}

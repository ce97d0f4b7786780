const NAME = '"tokens":';
/** SampledTokens as JSON.stringify writes them. Whether there is a number between two commas is left to whoever wrote it: its checksum fits. */
const TOKENS =
  /\{"prompt":(?:null|\[[\d,]*\]),"completion":\[[\d,]*\],"logprobs":(?:null|\[[\d,.eE+-]*\])\}/y;

/**
 * The JSON of a decision with null for its token ids and log-probabilities, which are most of a long one: what a drain needs to know of it
 * stands in the rest. Of a decision with 1,650 tokens that takes 25 µs to read, all of it 93 µs (Node 20, one run).
 *
 * @param text as JSON.stringify writes it. In a string of JSON a quote is escaped, so `"tokens":` is a member's name wherever it stands.
 * @returns null where there are none, or they are written in another way: then all of it has to be read.
 */
export function withoutTokens(text: string): string | null {
  const start = text.indexOf(NAME) + NAME.length;
  if (start < NAME.length) return null;
  TOKENS.lastIndex = start;
  if (!TOKENS.test(text)) return null;
  return `${text.slice(0, start)}null${text.slice(TOKENS.lastIndex)}`;
}

/** A text as its reader would see it, and where each of its characters comes from. */
export interface View {
  readonly text: string;
  /** Of each character, where it begins in the text that was decoded; one more for the end. */
  readonly starts: Int32Array;
}

const ESCAPES =
  /\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt'])|%[CDcd][0-9A-Fa-f]%[89ABab][0-9A-Fa-f]|%[Ee][0-9A-Fa-f](?:%[89ABab][0-9A-Fa-f]){2}|%[0-9A-Fa-f]{2}|&(?:#64|#x40|amp|quot|lt|gt|#39);/g;
const JSON_ESCAPES: Readonly<Record<string, string>> = {
  ...{ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' },
};
const ENTITIES: Readonly<Record<string, string>> = {
  ...{
    '&#64;': '@',
    '&#x40;': '@',
    '&amp;': '&',
    '&quot;': '"',
    '&lt;': '<',
    '&gt;': '>',
    '&#39;': "'",
  },
};

/**
 * Takes one layer of escapes away: those of JSON strings, of URLs, and the few entities of HTML that can hide an address. A text is JSON in
 * JSON as often as it is none at all, and cut off in the middle; so nothing is parsed, and what is no escape stays as it is.
 *
 * @returns null if there is nothing to decode.
 */
export function decodeOnce({ text, starts }: View | { text: string; starts: null }): View | null {
  if (!text.includes('\\') && !text.includes('%') && !text.includes('&')) return null;
  ESCAPES.lastIndex = 0;
  let match = ESCAPES.exec(text);
  if (match === null) return null;
  const decoded = new Int32Array(text.length + 1);
  const pieces: string[] = [];
  let [at, length] = [0, 0];
  const copyTo = (end: number): void => {
    if (end === at) return;
    pieces.push(text.slice(at, end));
    for (; at < end; at++) decoded[length++] = starts === null ? at : (starts[at] as number);
  };
  for (; match !== null; match = ESCAPES.exec(text)) {
    const character = characterOf(match[0]);
    if (character === null) continue;
    copyTo(match.index);
    pieces.push(character);
    decoded[length++] = starts === null ? at : (starts[at] as number);
    at = match.index + match[0].length;
  }
  copyTo(text.length);
  decoded[length] = starts === null ? text.length : (starts[text.length] as number);
  return { text: pieces.join(''), starts: decoded.subarray(0, length + 1) };
}

/** null for a byte that is no character: of four bytes are only signs that stand in nothing that is looked for. */
function characterOf(escape: string): string | null {
  if (escape.length > 3 && escape.startsWith('%')) {
    const decoded = Buffer.from(escape.replaceAll('%', ''), 'hex').toString();
    return decoded.length === 1 ? decoded : null; // else spelled as UTF-8 forbids
  }
  if (escape.startsWith('%')) {
    const code = parseInt(escape.slice(1), 16);
    return code < 0x80 ? String.fromCharCode(code) : null;
  }
  if (escape.startsWith('&')) return ENTITIES[escape] ?? null;
  if (escape.charAt(1) === 'u') return String.fromCharCode(parseInt(escape.slice(2), 16));
  return JSON_ESCAPES[escape.charAt(1)] ?? escape.charAt(1);
}

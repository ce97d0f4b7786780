const MIN_RUN = 12;
const EQUALS = 61;
/** Longer texts are not searched: where one is text at all, all of it is replaced. */
export const MAX_RUN = 1024 * 1024;
/** So many groups of four characters at either end say whether a run stands for text. */
const PROBED = 24;

export interface Base64Run {
  readonly start: number;
  readonly end: number;
  /** What it stands for, one for each way in which it can be read. */
  readonly texts: readonly string[];
  /** Too long to be searched. */
  readonly isTooLong: boolean;
}

/**
 * Runs of base64 or base64url that stand for text. Where the run begins is not known (`/files/` before it are letters of base64, too), so
 * all four alignments are tried. Images and the like are no text and are left alone, and so is what is compressed or encrypted.
 */
export function* base64Runs(text: string): Generator<Base64Run> {
  // No pattern: one with a least length looks at each letter of a short word again and again.
  for (let start = 0; start < text.length; start++) {
    let end = start;
    while (end < text.length && isOfAlphabet(text.charCodeAt(end))) end++;
    if (end - start < MIN_RUN) {
      start = end;
      continue;
    }
    const runEnd = end;
    const isTooLong = runEnd - start > MAX_RUN;
    for (let padding = 0; padding < 2 && text.charCodeAt(end) === EQUALS; padding++) end++;
    let texts: string[] | null = null;
    for (let from = start; from < start + 4; from++) {
      if (!isText(text, from, runEnd)) continue;
      texts ??= [];
      // Takes base64url as well.
      if (!isTooLong)
        texts.push(Buffer.from(text.slice(from, runEnd), 'base64').toString('latin1'));
    }
    if (texts !== null) yield { start, end, texts, isTooLong };
    start = end;
  }
}

/** The values of the alphabets' characters, by their codes; 64 for all others. */
const VALUES = new Uint8Array(128).fill(64);
for (const alphabet of ['+/', '-_']) {
  const letters = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${alphabet}`;
  for (let i = 0; i < 64; i++) VALUES[letters.charCodeAt(i)] = i;
}

function isOfAlphabet(code: number): boolean {
  return code < 128 && (VALUES[code] as number) < 64;
}

/** By its beginning or by its end: before the base64 of a text may stand a path, and behind it another. Decodes nothing: most runs are words. */
function isText(text: string, start: number, end: number): boolean {
  const groups = (end - start) >> 2;
  if (groups < 2) return false;
  const probed = Math.min(groups, PROBED);
  return (
    isMostlyAscii(text, start, probed) ||
    (groups > PROBED && isMostlyAscii(text, start + (groups - probed) * 4, probed))
  );
}

/** Whether three quarters of the groups are three bytes of ASCII, the first of them no control character. Of random ones, one in ten is. */
function isMostlyAscii(text: string, from: number, groups: number): boolean {
  let ascii = 0;
  for (let i = from; i < from + groups * 4; i += 4) {
    const first = VALUES[text.charCodeAt(i)] as number;
    const second = VALUES[text.charCodeAt(i + 1)] as number;
    const third = VALUES[text.charCodeAt(i + 2)] as number;
    if (first >= 8 && first < 32 && (second & 8) === 0 && (third & 2) === 0) ascii++;
  }
  return ascii * 4 >= groups * 3;
}

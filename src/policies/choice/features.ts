/**
 * Text to hashed features, version 1. This is part of the checkpoint format: a change here is a new `formatVersion`,
 * because the rows of an embedding table mean nothing without it.
 *
 * 1. The first 4,096 UTF-16 units of the text are put into Unicode normal form C and lower-cased.
 * 2. Words are the maximal runs of letters, marks, numbers and apostrophes.
 * 3. Features: every n words in a row (n from `wordNgrams`), joined by one space, of kind `w`; every n code points in a
 *    row (n from `charNgrams`) of each word between `<` and `>`, of kind `c`.
 * 4. A feature's row is murmur3's 32-bit finalizer of FNV-1a (32 bits) over the bytes: kind, n, UTF-8 of the n-gram;
 *    its lowest log2(buckets) bits.
 * 5. Equal rows are merged into one with their count; the counts are divided by their Euclidean norm (float64, rounded
 *    once to float32). Rows come in ascending order.
 *
 * With `context`, the text ends at the first U+001F, and what stands between that and the next ones (or the end) are words of
 * its context, each one feature of kind `r` and n 1, as it is (see `policyText` in arms.ts).
 *
 * Hashing trick: Weinberger et al. 2009, arXiv:0902.2206. Bags of n-grams: Joulin et al. 2016, arXiv:1607.01759.
 */
export interface FeatureConfig {
  /** A power of two. */
  readonly buckets: number;
  readonly wordNgrams: readonly number[];
  readonly charNgrams: readonly number[];
  /** @default false */
  readonly context?: boolean | undefined;
}

/** The features of one text; both arrays have the same length, 0 for a text without words. */
export interface Features {
  /** Distinct rows of the embedding table, ascending; int32. */
  readonly rows: Int32Array;
  /** float32; the Euclidean norm is 1. */
  readonly weights: Float32Array;
  /** How many words were read. */
  readonly words: number;
}

const MAX_UNITS = 4096;
const WORD = /[\p{L}\p{M}\p{N}']+/gu;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const KIND_WORD = 0x77; // 'w'
const KIND_CHAR = 0x63; // 'c'
const KIND_CONTEXT = 0x72; // 'r'
/** Between the text and the words of its context. */
export const CONTEXT_MARK = '\u001f';
const SPACE = 0x20;

const utf8 = new TextEncoder();
const OPEN = 0x3c; // '<'
const CLOSE = 0x3e; // '>'

/** The UTF-8 of a word between brackets. Most words are ASCII, and too short for the encoder to be worth its call. */
function bracketed(word: string): Uint8Array {
  const bytes = new Uint8Array(word.length + 2);
  bytes[0] = OPEN;
  for (let i = 0; i < word.length; i++) {
    const unit = word.charCodeAt(i);
    if (unit >= 0x80) return utf8.encode(`<${word}>`);
    bytes[i + 1] = unit;
  }
  bytes[word.length + 1] = CLOSE;
  return bytes;
}

/** FNV-1a over `bytes[from, to)`, going on from `hash`. http://www.isthe.com/chongo/tech/comp/fnv/ */
export function fnv1a(hash: number, bytes: Uint8Array, from = 0, to = bytes.length): number {
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] as number), FNV_PRIME);
  return hash;
}

/** murmur3's finalizer: FNV-1a alone leaves its low bits, which pick the row, poorly mixed for short n-grams. */
function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function seed(kind: number, n: number): number {
  return fnv1a(FNV_OFFSET, Uint8Array.of(kind, n));
}

/** The byte offsets at which the code points of UTF-8 `bytes` start, and the length. */
function codePointStarts(bytes: Uint8Array): number[] {
  const starts: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    if (((bytes[i] as number) & 0xc0) !== 0x80) starts.push(i);
  }
  starts.push(bytes.length);
  return starts;
}

function hashWordNgrams(
  words: readonly Uint8Array[],
  n: number,
  emit: (hash: number) => void,
): void {
  const start = seed(KIND_WORD, n);
  for (let i = 0; i + n <= words.length; i++) {
    let hash = start;
    for (let j = i; j < i + n; j++) {
      if (j > i) hash = Math.imul(hash ^ SPACE, FNV_PRIME);
      const word = words[j] as Uint8Array;
      hash = fnv1a(hash, word, 1, word.length - 1); // without the brackets
    }
    emit(mix(hash));
  }
}

function hashCharNgrams(word: Uint8Array, n: number, emit: (hash: number) => void): void {
  const start = seed(KIND_CHAR, n);
  const starts = codePointStarts(word);
  for (let i = 0; i + n < starts.length; i++) {
    emit(mix(fnv1a(start, word, starts[i], starts[i + n])));
  }
}

/** @returns the features of `text`; deterministic, and the same on every machine. */
export function featurize(text: string, config: FeatureConfig): Features {
  const [own, ...context] = config.context === true ? text.split(CONTEXT_MARK) : [text];
  const lower = (own ?? '').slice(0, MAX_UNITS).normalize('NFC').toLowerCase();
  const words = (lower.match(WORD) ?? []).map(bracketed);
  const mask = config.buckets - 1;
  const counts = new Map<number, number>();
  const emit = (hash: number): void => {
    const row = hash & mask;
    counts.set(row, (counts.get(row) ?? 0) + 1);
  };
  for (const n of config.wordNgrams) hashWordNgrams(words, n, emit);
  for (const n of config.charNgrams) for (const word of words) hashCharNgrams(word, n, emit);
  for (const word of context) emit(mix(fnv1a(seed(KIND_CONTEXT, 1), utf8.encode(word))));

  const rows = Int32Array.from(counts.keys()).sort();
  let squares = 0;
  for (const row of rows) squares += (counts.get(row) as number) ** 2; // ascending rows: a fixed order of addition
  const norm = Math.sqrt(squares);
  const weights = Float32Array.from(rows, (row) => (counts.get(row) as number) / norm);
  return { rows, weights, words: words.length };
}

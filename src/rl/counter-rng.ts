import { InvalidInputError, NumericalError, ShapeError } from '../errors';

/**
 * Counter-based random numbers: a number is a pure function of what it is for, so it does not matter which process draws
 * it, in which order, or how often after a crash. Integer arithmetic only: the same numbers on any machine. Not for secrets.
 *
 * Generator: Philox4x32-10, Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
 * Key schedule: h = FNV-1a-64 of `<purpose.length>:<purpose><task>` (UTF-8);
 * k = the first 2 words of philox(counter = [h_lo, h_hi, iteration, 0], key = [seed_lo, seed_hi]);
 * block b of the stream = philox(counter = [b_lo, b_hi, member, turn], key = k). Two keys meet only where 64 bits collide.
 */
export interface RandomKey {
  /** Integer in [0, 2^53). */
  readonly seed: number;
  /** A constant of the caller, such as 'rollout.sample': two uses of one seed must not share numbers. */
  readonly purpose: string;
  /** Integers in [0, 2^32); 0 when left out. */
  readonly iteration?: number;
  readonly member?: number;
  readonly turn?: number;
  /** The task's id; '' when left out. */
  readonly task?: string;
}

export interface RandomStream {
  /** Uniform in [0, 1): a multiple of 2^-53, never 1. */
  readonly next: () => number;
  /** Uniform integer in [0, n), without modulo bias; n in [1, 2^32]. */
  readonly below: (n: number) => number;
}

type Words2 = readonly [number, number];
type Words4 = readonly [number, number, number, number];

const { imul } = Math; // a local: looking up the global costs more than the product where globals are sandboxed

/**
 * The upper 32 bits of the product of two words, in 16-bit pieces since a double holds 53 bits. Every sum is below 2^32,
 * so that wrapping to signed words, which is what engines are fast at, loses nothing.
 */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (imul(aHigh, bLow) + (imul(aLow, bLow) >>> 16)) | 0;
  const cross = (imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) | 0;
}

/** Fills `out` with one block. Words are taken and left as 32 bits, whatever their sign. */
function philoxBlock(
  out: Int32Array, // int32 [4]
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = imul(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0; // Weyl sequence: golden ratio, and sqrt(3) - 1 below
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** One block of Philox4x32-10: four words from a counter of four words and a key of two, all unsigned 32-bit. */
export function philox4x32(counter: Words4, key: Words2): [number, number, number, number] {
  const out = new Int32Array(4);
  philoxBlock(out, ...counter, ...key);
  const [a = 0, b = 0, c = 0, d = 0] = out;
  return [a >>> 0, b >>> 0, c >>> 0, d >>> 0];
}

/** FNV-1a, 64 bits, over the UTF-8 bytes of `text`; a lone surrogate counts as U+FFFD. Returns [high, low] words. */
export function fnv1a64(text: string): [number, number] {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  const fold = (byte: number): void => {
    low = (low ^ byte) >>> 0;
    // The prime is 2^40 + 0x1b3; each product stays below 2^53.
    const product = low * 0x1b3;
    high = (high * 0x1b3 + Math.floor(product / 0x1_0000_0000) + low * 0x100) % 0x1_0000_0000;
    low = product % 0x1_0000_0000;
  };
  for (const character of text) {
    const scalar = character.codePointAt(0) ?? 0;
    const code = scalar >= 0xd800 && scalar <= 0xdfff ? 0xfffd : scalar;
    if (code < 0x80) {
      fold(code);
      continue;
    }
    const extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; // continuation bytes
    fold(((0xff << (7 - extra)) & 0xff) | (code >>> (6 * extra)));
    for (let i = extra - 1; i >= 0; i--) fold(0x80 | ((code >>> (6 * i)) & 0x3f));
  }
  return [high, low];
}

function checkedInteger(name: string, value: number, below: number): number {
  if (Number.isInteger(value) && value >= 0 && value < below) return value;
  throw new InvalidInputError(
    `random key: expected ${name} to be an integer in [0, ${below}), got ${value}`,
  );
}

const WORD = 0x1_0000_0000;

/**
 * The stream of numbers of one key. Each `next` takes two words, each `below` one (more where it rejects), in order.
 *
 * @throws {InvalidInputError} if a number of the key is out of range.
 */
export function stream(key: RandomKey): RandomStream {
  const seed = checkedInteger('seed', key.seed, Number.MAX_SAFE_INTEGER + 1);
  const iteration = checkedInteger('iteration', key.iteration ?? 0, WORD);
  const member = checkedInteger('member', key.member ?? 0, WORD);
  const turn = checkedInteger('turn', key.turn ?? 0, WORD);
  // The length keeps ('ab', 'c') and ('a', 'bc') apart.
  const [high, low] = fnv1a64(`${key.purpose.length}:${key.purpose}${key.task ?? ''}`);
  const derived = philox4x32([low, high, iteration, 0], [seed % WORD, Math.floor(seed / WORD)]);
  const k0 = derived[0] | 0;
  const k1 = derived[1] | 0;

  const block = new Int32Array(4);
  let blockIndex = 0;
  let used = 4;
  const word = (): number => {
    if (used === 4) {
      philoxBlock(block, blockIndex | 0, (blockIndex / WORD) | 0, member | 0, turn | 0, k0, k1);
      blockIndex++;
      used = 0;
    }
    return block[used++] as number; // used was 0 … 3; signed, since engines box larger integers
  };
  return {
    next: () => ((word() >>> 5) * 0x400_0000 + (word() >>> 6)) / 0x20_0000_0000_0000,
    // The upper half of word·n, rejecting the few words that favour small results: Lemire 2019, arXiv:1805.10941.
    below: (n) => {
      if (!(n >= 1 && n <= WORD) || n % 1 !== 0) {
        throw new InvalidInputError(`random integer: expected n to be in [1, 2^32], got ${n}`);
      }
      let drawn = word();
      if (n === WORD) return drawn >>> 0;
      let low = imul(drawn, n) >>> 0;
      if (low < n) {
        const favoured = (WORD - n) % n;
        while (low < favoured) {
          drawn = word();
          low = imul(drawn, n) >>> 0;
        }
      }
      return multiplyHigh(drawn, n) >>> 0;
    },
  };
}

/** One number in [0, 1): the first of the key's stream. */
export function uniform(key: RandomKey): number {
  return stream(key).next();
}

/** A new array with the items in uniformly random order (Fisher and Yates). */
export function shuffle<T>(items: readonly T[], random: RandomStream): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T]; // both indices are in range
  }
  return result;
}

/** How far the probabilities' sum may be from 1: rounding of a float32 softmax, not a forgotten mask. */
const SUM_TOLERANCE = 1e-6;

/**
 * The index that `u` falls on when [0, 1) is cut into pieces of the given lengths, in order. A probability of 0 (a masked
 * arm) is never drawn, whatever `u` is.
 *
 * @param probabilities float64 [A], each >= 0, sum 1 within 1e-6.
 * @param u uniform in [0, 1).
 * @throws {ShapeError} if there are no probabilities; {NumericalError} if one is negative or not finite, or the sum is off;
 * {InvalidInputError} if u is outside [0, 1).
 */
export function categorical(probabilities: Float64Array, u: number): number {
  if (probabilities.length === 0) {
    throw new ShapeError('categorical draw: expected at least one probability, got none');
  }
  if (!(u >= 0 && u < 1)) {
    throw new InvalidInputError(`categorical draw: expected u in [0, 1), got ${u}`);
  }
  let total = 0;
  for (const p of probabilities) {
    if (!(p >= 0))
      throw new NumericalError(`categorical draw: expected probabilities >= 0, got ${p}`);
    total += p;
  }
  if (!(Math.abs(total - 1) <= SUM_TOLERANCE)) {
    throw new NumericalError(
      `categorical draw: expected probabilities that sum to 1, got ${total}`,
    );
  }
  const point = u * total; // so that rounding of the sum falls on every arm in proportion
  let cumulative = 0;
  let index = 0;
  for (const p of probabilities) {
    cumulative += p; // a p of 0 adds nothing, so the point cannot fall on it
    if (point < cumulative) return index;
    index++;
  }
  // u <= 1 - 2^-53, so the product rounds to less than any total that passed the check above.
  throw new NumericalError(`categorical draw: expected ${point} to lie below the sum ${total}`);
}

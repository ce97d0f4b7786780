import { InvalidInputError } from '../../../errors';

/** Tokens of one conversation, and which of them are trained on. */
export interface TrainingSequence {
  readonly tokens: ArrayLike<number>;
  /** 1 for a token that the model is to learn to write, 0 for one that it is only shown; as long as `tokens`. */
  readonly mask: ArrayLike<number>;
  /** What the loss is fed per token, by name; each as long as `tokens`, read where the mask is 1. @default weights: 1 */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
}

/** One forward and backward pass: `rows` × `length` tokens, of which `targets` are predicted. */
export interface MicroBatch {
  readonly rows: number;
  readonly length: number;
  readonly targets: number;
  readonly tokens: BigInt64Array; // [rows, length]
  readonly positions: BigInt64Array; // [rows, length]
  readonly segments: BigInt64Array; // [rows, length]; padding is segment 0
  /** Which of the given sequences each segment of a row is, in order. */
  readonly sequences: readonly (readonly number[])[]; // [rows][segments]
  readonly at: BigInt64Array; // [targets]
  readonly targetTokens: BigInt64Array; // [targets]
  /** Per loss input, [targets]; 0 in the padding. */
  readonly inputs: Readonly<Record<string, Float32Array>>;
  /** Targets that are not padding. */
  readonly trained: number;
  /** Tokens that are not padding. */
  readonly real: number;
}

export interface PackOptions {
  /** About how many tokens a micro-batch has: what fits the processor's cache. A longer sequence gets one of its own. */
  readonly tokensPerMicroBatch: number;
  /** As many micro-batches run side by side: their size is chosen so that all have about as much to do. @default 1 */
  readonly parts?: number;
  /** What the loss is fed; `weights` is 1 where a sequence does not say. @default weights alone */
  readonly inputs?: readonly string[];
  /** Tokens are below this. @default unchecked */
  readonly vocabSize?: number;
  /** Of a sequence: the positions that the model knows. @default unchecked */
  readonly maxLength?: number;
}

/**
 * Packs sequences into rows, and rows into micro-batches: the longest first, each to the first row that has room ("first fit
 * decreasing", Johnson et al. 1974). A micro-batch is as long as its longest sequence needs, so short ones share micro-batches and their
 * attention costs what their length costs. The same sequences in the same order give the same micro-batches.
 *
 * Sizes are rounded up to a few, since each combination needs a graph of its own.
 *
 * @throws {InvalidInputError} if a sequence has fewer than 2 tokens or too many, one that the model does not know, a mask of another
 *   length, or lacks a loss input.
 */
export function packSequences(
  sequences: readonly TrainingSequence[],
  { tokensPerMicroBatch, parts = 1, inputs = ['weights'], ...limits }: PackOptions,
): MicroBatch[] {
  sequences.forEach((sequence, i) => check(sequence, i, inputs, limits));
  const order = sequences
    .map((sequence, i) => ({ sequence, i, size: sequence.tokens.length }))
    .sort((a, b) => b.size - a.size || a.i - b.i);
  const total = order.reduce((sum, { size }) => sum + size, 0);
  const rounds = Math.max(1, Math.ceil(total / (tokensPerMicroBatch * parts)));
  // As even as possible: what the last of them waits for is time lost.
  const budget = Math.min(tokensPerMicroBatch, Math.ceil(total / (rounds * parts)));

  const open = [...order];
  const batches: MicroBatch[] = [];
  while (open.length > 0) {
    const length = roundLength((open[0] as OrderedSequence).size);
    const rows = Math.max(1, Math.round(budget / length));
    const filled: OrderedSequence[][] = Array.from({ length: rows }, () => []);
    const room = new Array<number>(rows).fill(length);
    for (let i = 0; i < open.length;) {
      const sequence = open[i] as OrderedSequence;
      const row = room.findIndex((left) => left >= sequence.size);
      if (row === -1) {
        i++;
        continue;
      }
      filled[row]?.push(sequence);
      room[row] = (room[row] as number) - sequence.size;
      open.splice(i, 1);
    }
    batches.push(layOut(filled, length, inputs));
  }
  return batches;
}

/** A sequence, and which of the given ones it is. */
interface OrderedSequence {
  readonly sequence: TrainingSequence;
  readonly i: number;
  /** In tokens. */
  readonly size: number;
}

/** Multiples of 16 up to 128, then steps of about a fourth. */
export function roundLength(length: number): number {
  const step = length <= 128 ? 16 : 2 ** (Math.floor(Math.log2(length - 1)) - 2);
  return Math.ceil(length / step) * step;
}

function layOut(
  filled: readonly (readonly OrderedSequence[])[],
  length: number,
  inputNames: readonly string[],
): MicroBatch {
  const rows = filled.length;
  const size = rows * length;
  const [tokens, positions, segments] = [0, 0, 0].map(() => new BigInt64Array(size)) as [
    BigInt64Array,
    BigInt64Array,
    BigInt64Array,
  ];
  const at: number[] = [];
  const targetTokens: number[] = [];
  const inputs = Object.fromEntries(inputNames.map((name) => [name, [] as number[]]));
  let real = 0;
  filled.forEach((sequences, row) => {
    let start = row * length;
    sequences.forEach(({ sequence }, segment) => {
      const { length: n } = sequence.tokens;
      for (let t = 0; t < n; t++) {
        tokens[start + t] = BigInt(sequence.tokens[t] as number);
        positions[start + t] = BigInt(t);
        segments[start + t] = BigInt(segment + 1);
        if (t === 0 || sequence.mask[t] === 0) continue; // nothing predicts the first token
        at.push(start + t - 1);
        targetTokens.push(sequence.tokens[t] as number);
        for (const name of inputNames) inputs[name]?.push(sequence.inputs?.[name]?.[t] ?? 1);
      }
      start += n;
      real += n;
    });
  });
  const trained = at.length;
  const targets = roundTargets(trained, size);
  const padded = (values: readonly number[]): BigInt64Array => {
    const out = new BigInt64Array(targets);
    values.forEach((value, i) => (out[i] = BigInt(value)));
    return out;
  };
  return {
    ...{ rows, length, targets, tokens, positions, segments, trained, real },
    sequences: filled.map((sequences) => sequences.map(({ i }) => i)),
    at: padded(at),
    targetTokens: padded(targetTokens),
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([name, values]) => {
        const out = new Float32Array(targets);
        out.set(values);
        return [name, out];
      }),
    ),
  };
}

/** A multiple of an eighth of the batch. */
function roundTargets(trained: number, size: number): number {
  const step = Math.max(8, Math.ceil(size / 8));
  return Math.max(step, Math.ceil(trained / step) * step);
}

function check(
  { tokens, mask, inputs: given = {} }: TrainingSequence,
  index: number,
  inputs: readonly string[],
  { vocabSize = Infinity, maxLength = Infinity }: Pick<PackOptions, 'vocabSize' | 'maxLength'>,
): void {
  const refuse = (expected: string, got: string): never => {
    throw new InvalidInputError(`a training sequence expected ${expected}, got ${got}`, {
      context: { sequence: index },
    });
  };
  const { length } = tokens;
  if (length < 2 || length > maxLength) {
    refuse(`2 to ${maxLength} tokens, which is what the model can look at`, String(length));
  }
  for (let t = 0; t < length; t++) {
    const token = tokens[t] as number;
    if (!Number.isInteger(token) || token < 0 || token >= vocabSize) {
      refuse(`tokens in [0, ${vocabSize})`, `${token} at ${t}`);
    }
  }
  if (mask.length !== length) refuse(`a mask as long as its ${length} tokens`, String(mask.length));
  for (const name of inputs) {
    const values = given[name];
    if (values === undefined ? name !== 'weights' : values.length !== length) {
      refuse(`${name} as long as its ${length} tokens`, String(values?.length ?? 'none'));
    }
  }
}

import { shuffle, stream } from '../../rl/counter-rng';
import { buildBag, type Bag } from './bag';
import type { TrainingRow } from './training-rows';

/** What a batch is drawn by: the same numbers give the same batch, whoever assembles it. */
export interface BatchPlan {
  readonly rows: readonly TrainingRow[];
  readonly batch: number;
  /** Indices into `rows`, one per example, in the order in which they are seen. */
  readonly order: Int32Array;
  readonly steps: number;
}

/** The fixed-size tensors of one step; rows beyond the examples weigh nothing. Arrays are row-major, float32 unless said. */
export interface BatchTensors {
  readonly bag: Bag;
  /** [batch, hidden]: 0 where a unit is dropped, else 1 / (1 − rate). */
  readonly hiddenMask: Float32Array;
  /** bool [batch, arms] */
  readonly available: Uint8Array;
  /** [batch, arms]; targets of the cross-entropy. */
  readonly right: Float32Array;
  /** [batch, arms]; how wrong each arm is known to be, in [0, 1]. */
  readonly wrong: Float32Array;
  /** [batch]; weight of the wrong-arm term. */
  readonly wrongScale: Float32Array;
  /** [batch]; 1 where the row is a decision of the iteration. */
  readonly isDecision: Float32Array;
  /** int64 [batch, 1]; the arm that was taken, any where the row is no decision. */
  readonly arms: BigInt64Array;
  /** [batch]; ln of the propensity. */
  readonly logPropensities: Float32Array;
  /** [batch]; in units of the reward. */
  readonly advantages: Float32Array;
  /** [batch]; of the whole row, 0 for rows that are no example. */
  readonly weights: Float32Array;
}

/**
 * Passes follow each other, each a permutation of its own; a fraction of a pass takes the first part of one.
 *
 * @param epochs passes; may be a fraction.
 * @param maxExamples at most so many examples.
 */
export function planBatches(
  rows: readonly TrainingRow[],
  options: {
    readonly batch: number;
    readonly epochs: number;
    readonly maxExamples: number | null;
    readonly seed: number;
    readonly iteration: number;
  },
): BatchPlan {
  const wanted = Math.max(1, Math.round(options.epochs * rows.length));
  const examples = rows.length === 0 ? 0 : Math.min(wanted, options.maxExamples ?? Infinity);
  const order = new Int32Array(examples);
  const indices = Array.from(rows, (_, i) => i);
  const { seed, iteration } = options;
  for (let at = 0, pass = 0; at < examples; at += rows.length, pass++) {
    const permuted = shuffle(
      indices,
      stream({ seed, purpose: 'choice.order', iteration, turn: pass }),
    );
    order.set(permuted.slice(0, examples - at), at);
  }
  return { rows, batch: options.batch, order, steps: Math.ceil(examples / options.batch) };
}

/** The rate that masks really have: they are drawn by single bytes. */
function maskThreshold(rate: number): number {
  return Math.round(rate * 256);
}

/** Draws 0 with probability `rate` (rounded to 1/256), else 1 / (1 − rate): the mean is 1. */
function maskSource(rate: number, key: Parameters<typeof stream>[0]): () => number {
  const threshold = maskThreshold(rate);
  if (threshold === 0) return () => 1;
  const scale = 256 / (256 - threshold);
  const random = stream(key);
  let word = 0;
  let left = 0;
  return () => {
    if (left === 0) {
      word = random.below(2 ** 32);
      left = 4;
    }
    const byte = word & 0xff;
    word >>>= 8;
    left--;
    return byte < threshold ? 0 : scale;
  };
}

/** Assembles step `step` (from 0) of a plan. */
export function assembleBatch(
  plan: BatchPlan,
  step: number,
  options: {
    readonly buckets: number;
    readonly hidden: number;
    readonly arms: number;
    readonly dropout: number;
    readonly featureDropout: number;
    readonly seed: number;
    readonly iteration: number;
  },
): BatchTensors {
  const { batch } = plan;
  const { arms, hidden, buckets } = options;
  const indices = plan.order.subarray(step * batch, (step + 1) * batch);
  const rows = Array.from(indices, (index) => plan.rows[index] as TrainingRow);
  const key = { seed: options.seed, iteration: options.iteration, turn: step };
  const bag = buildBag(
    rows.map(({ text }) => text),
    {
      batch,
      buckets,
      keep: maskSource(options.featureDropout, { ...key, purpose: 'choice.feature-dropout' }),
    },
  );
  const hiddenKeep = maskSource(options.dropout, { ...key, purpose: 'choice.dropout' });
  const tensors: BatchTensors = {
    bag,
    hiddenMask: Float32Array.from({ length: batch * hidden }, hiddenKeep),
    available: new Uint8Array(batch * arms),
    right: new Float32Array(batch * arms),
    wrong: new Float32Array(batch * arms),
    wrongScale: new Float32Array(batch),
    isDecision: new Float32Array(batch),
    arms: new BigInt64Array(batch),
    logPropensities: new Float32Array(batch),
    advantages: new Float32Array(batch),
    weights: new Float32Array(batch),
  };
  for (const [i, row] of rows.entries()) {
    const at = i * arms;
    for (const arm of row.available) tensors.available[at + arm] = 1;
    for (const { arm, weight } of row.right) tensors.right[at + arm] = weight;
    for (const { arm, weight } of row.wrong) tensors.wrong[at + arm] = weight;
    tensors.wrongScale[i] = row.wrongScale;
    tensors.weights[i] = row.weight;
    if (row.decision === null) continue;
    tensors.isDecision[i] = 1;
    tensors.arms[i] = BigInt(row.decision.arm);
    tensors.logPropensities[i] = Math.log(row.decision.propensity);
    tensors.advantages[i] = row.decision.advantage;
  }
  return tensors;
}

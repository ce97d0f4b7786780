import { setImmediate as nextTurn } from 'node:timers/promises';
import { InvalidInputError, NumericalError } from '../../errors';
import type { TensorRuntime } from '../../ports/tensor-runtime';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { TrainingOptions } from '../policy-kind';
import { gatherRows, scatterRows, type Bag } from './bag';
import type { Moments } from './checkpoint';
import { byParameter, DENSE_NAMES, zeroParameters, type Parameters } from './parameters';
import { assembleBatch, planBatches } from './training-batch';
import {
  createTrainingGraphs,
  STEP_METRICS,
  type StepMetrics,
  type StepValues,
} from './training-graphs';
import type { TrainingRow } from './training-rows';
import { decodeState, encodeState, type Running } from './training-state';

/** Everything that the result is a function of, besides the job's texts and targets. */
export interface OptimizeInput {
  /** Names the job: a state is only good for the job that it comes from. */
  readonly job: string;
  readonly config: ChoiceConfig;
  readonly rows: readonly TrainingRow[];
  readonly start: OptimizerState;
  readonly hyperParameters: HyperParameters;
  readonly seed: number;
  readonly iteration: number;
}

export interface OptimizerState {
  readonly parameters: Parameters;
  readonly moments: Moments;
  /** Steps since the moments were zero. */
  readonly globalStep: number;
}

export interface HyperParameters {
  readonly batch: number;
  readonly epochs: number;
  readonly maxExamples: number | null;
  readonly learningRate: number;
  /** Share of the learning rate that is left at the last step. */
  readonly finalLearningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number | null;
  readonly dropout: number;
  readonly featureDropout: number;
  readonly logitAdjustment: Readonly<Record<string, number>>;
  /** PPO's clip; only matters for rows with a decision. */
  readonly clip: number;
  readonly entropyBonus: number;
  /** Which arms are right, or what each is worth; see objective.ts. @default 'arms' */
  readonly learns?: 'arms' | 'values';
}

export interface Optimized extends OptimizerState {
  readonly steps: number;
  readonly examples: number;
  /** Means over the steps; `finalLoss` is that of the last tenth of them. */
  readonly metrics: StepMetrics & { readonly finalLoss: number };
}

const DEFAULT_STATE_EVERY = 500;

/**
 * Adam over a plan of batches. The embedding table's update is lazy: rows that no text of the batch uses keep their value
 * and their moments in that step, where Adam with dense gradients would let the moments decay and move the row a little
 * more (PyTorch's `SparseAdam` does the same). The bias correction counts all steps, not those of the row.
 *
 * @throws {NumericalError} naming the step, if a loss or a gradient is not finite; nothing of the step is kept.
 * @throws {InvalidInputError} if `resumeFrom` is the state of another job.
 */
export async function optimize(
  input: OptimizeInput,
  runtime: TensorRuntime,
  {
    onProgress,
    onState,
    stateEvery = DEFAULT_STATE_EVERY,
    resumeFrom,
    signal,
    handOver,
  }: TrainingOptions = {},
): Promise<Optimized> {
  signal?.throwIfAborted();
  const { config, hyperParameters, seed, iteration } = input;
  const plan = planBatches(input.rows, { ...hyperParameters, seed, iteration });
  const running = resumeFrom === undefined ? fresh(input) : decodeState(input, resumeFrom);
  const { parameters, moments, sums } = running;
  const batchOptions = {
    ...hyperParameters,
    seed,
    iteration,
    buckets: config.features.buckets,
    hidden: config.network.hidden,
    arms: config.arms.length,
  };
  const width = config.network.embedding;
  const gather = createGatherer(width);
  const graphs = createTrainingGraphs(
    runtime,
    config,
    hyperParameters,
    adjustments(config, hyperParameters.logitAdjustment),
  );
  try {
    for (let step = running.step; step < plan.steps; step++) {
      signal?.throwIfAborted();
      const tensors = assembleBatch(plan, step, batchOptions);
      const { rows } = tensors.bag;
      const result = await graphs.step(
        tensors,
        {
          value: { ...parameters, rows: gather('value', parameters, tensors.bag) },
          m: { ...moments.first, rows: gather('m', moments.first, tensors.bag) },
          v: { ...moments.second, rows: gather('v', moments.second, tensors.bag) },
        },
        {
          updates: input.start.globalStep + step,
          learningRate: learningRateAt(hyperParameters, step, plan.steps),
        },
      );
      if (!result.isFinite) {
        throw new NumericalError('training met a loss or gradient that is not finite', {
          context: {
            optimizerStep: step + 1,
            of: plan.steps,
            loss: result.metrics.loss,
            gradNorm: result.metrics.gradNorm,
          },
        });
      }
      storeStep(parameters, rows, width, result.value);
      storeStep(moments.first, rows, width, result.m);
      storeStep(moments.second, rows, width, result.v);
      const isLate = step >= plan.steps - Math.ceil(plan.steps / 10);
      addMetrics(sums, result.metrics, isLate);
      const done = step + 1;
      onProgress?.({ done, of: plan.steps, loss: result.metrics.loss });
      const isLeaving = handOver?.aborted === true && done < plan.steps; // what is complete is better than a state of it
      if (onState !== undefined && (isLeaving || (done % stateEvery === 0 && done < plan.steps))) {
        await onState(encodeState(input, { parameters, moments, sums, step: done }));
      }
      if (isLeaving) throw handOver.reason;
      await nextTurn(); // lets an abort in
    }
  } finally {
    await graphs.release();
  }
  return {
    parameters,
    moments,
    globalStep: input.start.globalStep + plan.steps,
    steps: plan.steps,
    examples: plan.order.length,
    metrics: meansOf(sums, plan.steps),
  };
}

function fresh({ start }: OptimizeInput): Running {
  const copy = (values: Parameters): Parameters => byParameter((name) => values[name].slice());
  return {
    parameters: copy(start.parameters),
    moments: { first: copy(start.moments.first), second: copy(start.moments.second) },
    sums: new Float64Array(SUMS),
    step: 0,
  };
}

export function zeroMoments(config: ChoiceConfig): Moments {
  return { first: zeroParameters(config), second: zeroParameters(config) };
}

/** Gathers a batch's rows of a table into memory that the next step of the same size uses again: megabytes each. */
function createGatherer(width: number): (use: string, table: Parameters, bag: Bag) => Float32Array {
  const buffers = new Map<string, Float32Array>();
  return (use, table, { rows, size }) => {
    const key = `${use} ${size}`;
    let buffer = buffers.get(key);
    if (buffer === undefined) buffers.set(key, (buffer = new Float32Array(size * width)));
    gatherRows(table['embedding.weight'], rows, width, buffer);
    return buffer;
  };
}

/** Writes what a step gave back to where it came from. */
function storeStep(target: Parameters, rows: Int32Array, width: number, values: StepValues): void {
  scatterRows(target['embedding.weight'], rows, width, values.rows);
  for (const name of DENSE_NAMES) target[name].set(values[name]);
}

function learningRateAt(
  { learningRate, finalLearningRate }: HyperParameters,
  step: number,
  steps: number,
): number {
  const progress = steps < 2 ? 0 : step / (steps - 1);
  return learningRate * (1 - progress * (1 - finalLearningRate));
}

function adjustments(config: ChoiceConfig, byArm: Readonly<Record<string, number>>): Float32Array {
  const names = config.arms.map(({ name }) => name);
  const unknown = Object.keys(byArm).filter((arm) => !names.includes(arm));
  if (unknown.length > 0) {
    throw new InvalidInputError(
      `logitAdjustment names arms that the policy does not have: ${unknown.join(', ')}`,
    );
  }
  return Float32Array.from(names, (name) => byArm[name] ?? 0);
}

/** Sums over the steps of each metric, then of the loss over the last tenth. */
const SUMS = STEP_METRICS.length + 1;

function addMetrics(sums: Float64Array, metrics: StepMetrics, isLate: boolean): void {
  const values = [...STEP_METRICS.map((name) => metrics[name]), isLate ? metrics.loss : 0];
  for (const [i, value] of values.entries()) sums[i] = (sums[i] as number) + value;
}

function meansOf(sums: Float64Array, steps: number): Optimized['metrics'] {
  const n = Math.max(1, steps);
  const means = STEP_METRICS.map((name, i) => [name, (sums[i] as number) / n]);
  return {
    ...(Object.fromEntries(means) as StepMetrics),
    finalLoss: (sums[SUMS - 1] as number) / Math.max(1, Math.ceil(steps / 10)),
  };
}

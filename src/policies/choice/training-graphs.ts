import type { Shape } from '../../autodiff/graph';
import { embeddingBag } from '../../nn/embedding-bag';
import { emitModel } from '../../onnx/emit';
import { buildTrainStep, type TrainStep } from '../../optim/train-step';
import type { Tensor, TensorRuntime, TensorSession } from '../../ports/tensor-runtime';
import type { ChoiceConfig } from '../../schemas/choice-config';
import { logitsOf } from './network';
import { objective, type ObjectiveInput } from './objective';
import { DENSE_NAMES, parameterShapes, type DenseName } from './parameters';
import type { BatchTensors } from './training-batch';

/** The parameters that a step updates: the table's rows that the batch uses, and all dense ones. */
export type StepParameter = 'rows' | DenseName;
const STEP_PARAMETERS: readonly StepParameter[] = ['rows', ...DENSE_NAMES];

/** float32 values of a step's parameters. */
export type StepValues = Readonly<Record<StepParameter, Float32Array>>;
export interface StepState {
  readonly value: StepValues;
  /** Adam's moments. */
  readonly m: StepValues;
  readonly v: StepValues;
}

export const STEP_METRICS = ['loss', 'gradNorm', 'entropy', 'approxKl', 'clipFraction'] as const;
export type StepMetrics = Readonly<Record<(typeof STEP_METRICS)[number], number>>;

export interface StepResult extends StepState {
  readonly metrics: StepMetrics;
  readonly isFinite: boolean;
}

/** What stays the same over all steps of a job and is therefore part of the graph. */
export interface GraphHyperParameters {
  readonly batch: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number | null;
  readonly clip: number;
  readonly entropyBonus: number;
  readonly learns?: 'arms' | 'values';
}

/**
 * One optimizer step as one graph: forward, backward and Adam (buildTrainStep).
 *
 * @param size rows of the embedding table that the batch may use.
 * @param logitAdjustment float32 [arms]; subtracted from the logits.
 */
export function choiceTrainStep(
  config: ChoiceConfig,
  size: number,
  hyperParameters: GraphHyperParameters,
  logitAdjustment: Float32Array,
): TrainStep<StepParameter> {
  const { batch: B } = hyperParameters;
  const arms = config.arms.length;
  const { hidden } = config.network;
  const { 'embedding.weight': table, ...dense } = parameterShapes(config);
  const params = { rows: [size, ...table.slice(1)], ...dense };
  const batchInputs: Record<BatchInput, Input> = {
    bag: { shape: [B, size] },
    hiddenMask: { shape: [B, hidden] },
    available: { shape: [B, arms], dtype: 'bool' },
    right: { shape: [B, arms] },
    wrong: { shape: [B, arms] },
    wrongScale: { shape: [B] },
    isDecision: { shape: [B] },
    arms: { shape: [B, 1], dtype: 'int64' },
    logPropensities: { shape: [B] },
    advantages: { shape: [B] },
    weights: { shape: [B] },
  };
  return buildTrainStep<StepParameter, BatchInput>({
    params,
    batchInputs,
    loss: (b, p, batch) => {
      const raw = logitsOf(b, p, embeddingBag(b, batch.bag, p.rows), batch.hiddenMask);
      const logits = b.sub(raw, b.constant(logitAdjustment, [1, arms]));
      return objective(b, logits, batch, hyperParameters);
    },
    optimizer: {
      ...hyperParameters,
      decayed: DENSE_NAMES.filter((name) => name.endsWith('.weight')),
    },
  });
}

type BatchInput = 'bag' | 'hiddenMask' | ObjectiveInput;
interface Input {
  readonly shape: Shape;
  readonly dtype?: 'float32' | 'int64' | 'bool';
}

export interface TrainingGraphs {
  step(
    batch: BatchTensors,
    state: StepState,
    scalars: {
      readonly learningRate: number;
      /** Updates since the moments were zero, before this one. */
      readonly updates: number;
    },
  ): Promise<StepResult>;
  release(): Promise<void>;
}

/** The training graphs of one job, one per size of the bag, each built when it is first needed. */
export function createTrainingGraphs(
  runtime: TensorRuntime,
  config: ChoiceConfig,
  hyperParameters: GraphHyperParameters,
  logitAdjustment: Float32Array,
): TrainingGraphs {
  interface Loaded {
    readonly step: TrainStep<StepParameter>;
    readonly session: TensorSession;
  }
  const loaded = new Map<number, Loaded>();

  async function graphFor(size: number): Promise<Loaded> {
    let graph = loaded.get(size);
    if (graph === undefined) {
      const step = choiceTrainStep(config, size, hyperParameters, logitAdjustment);
      const name = `choice training, ${size} rows`;
      graph = { step, session: await runtime.load(emitModel(step.graph), { name }) };
      loaded.set(size, graph);
    }
    return graph;
  }

  return {
    async step({ bag, ...tensors }, state, { learningRate, updates }) {
      const { step, session } = await graphFor(bag.size);
      const feeds: Record<string, Tensor> = {
        ...batchFeeds(tensors, hyperParameters.batch),
        bag: float32([hyperParameters.batch, bag.size], bag.weights),
        learningRate: float32([], Float32Array.of(learningRate)),
        step: { dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(updates)) },
      };
      for (const name of STEP_PARAMETERS) {
        const { value, m, v } = step.state[name];
        feeds[value.input] = float32(value.shape, state.value[name]);
        feeds[m.input] = float32(m.shape, state.m[name]);
        feeds[v.input] = float32(v.shape, state.v[name]);
      }
      const outputs = await session.run(feeds);
      const next = (kind: keyof StepState): StepValues =>
        Object.fromEntries(
          STEP_PARAMETERS.map((name) => [name, outputs[step.state[name][kind].output]?.data]),
        ) as StepValues;
      return {
        value: next('value'),
        m: next('m'),
        v: next('v'),
        metrics: Object.fromEntries(
          STEP_METRICS.map((name) => [name, outputs[name]?.data[0]]),
        ) as StepMetrics,
        isFinite: outputs['finite']?.data[0] === 1,
      };
    },
    async release() {
      await Promise.all([...loaded.values()].map(({ session }) => session.release()));
      loaded.clear();
    },
  };
}

function batchFeeds(tensors: Omit<BatchTensors, 'bag'>, batch: number): Record<string, Tensor> {
  const wide = (data: Float32Array): Tensor => float32([batch, data.length / batch], data);
  const column = (data: Float32Array): Tensor => float32([batch], data);
  const arms = tensors.available.length / batch;
  return {
    hiddenMask: wide(tensors.hiddenMask),
    available: { dtype: 'bool', shape: [batch, arms], data: tensors.available },
    right: wide(tensors.right),
    wrong: wide(tensors.wrong),
    wrongScale: column(tensors.wrongScale),
    isDecision: column(tensors.isDecision),
    arms: { dtype: 'int64', shape: [batch, 1], data: tensors.arms },
    logPropensities: column(tensors.logPropensities),
    advantages: column(tensors.advantages),
    weights: column(tensors.weights),
  };
}

function float32(shape: Shape, data: Float32Array): Tensor {
  return { dtype: 'float32', shape, data };
}

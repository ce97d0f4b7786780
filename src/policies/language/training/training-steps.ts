import type { Shape } from '../../../autodiff/graph';
import { sizeOf } from '../../../autodiff/graph';
import { InvalidInputError, NotFoundError } from '../../../errors';
import type { UpdateSpec } from '../../../optim/update-graph';
import { FIRST_MOMENT, GRADIENT, SECOND_MOMENT } from '../../../optim/update-graph';
import type { Tensor } from '../../../ports/tensor-runtime';
import type { TensorWorkspace } from '../../../ports/tensor-workspace';
import type { TokenLoss, TrainedModel } from './accumulate-graph';
import { feedsOf, scalar, type DropoutCount } from './batch-feeds';
import { packSequences, type MicroBatch, type TrainingSequence } from './pack';
import { createTrainingSessions, OTHER } from './training-sessions';

export interface TrainingStepsSpec {
  readonly model: TrainedModel;
  readonly rope: { readonly cos: Float32Array; readonly sin: Float32Array };
  readonly loss: TokenLoss;
  readonly optimizer: UpdateSpec['optimizer'];
  /** See PackOptions. @default 1024 */
  readonly tokensPerMicroBatch?: number;
}

/** float32 values by parameter. */
export type ParameterValues = Readonly<Record<string, Float32Array>>;

export interface OptimizerValues {
  readonly m: ParameterValues;
  readonly v: ParameterValues;
  /** Updates since the moments were zero. */
  readonly optimizerSteps: number;
}

export interface StepMetrics {
  /** Mean over the trained tokens of the whole batch, weighted as the loss says. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
  /** False: the loss or a gradient was NaN or infinite, and nothing was changed. */
  readonly isFinite: boolean;
  readonly learningRate: number;
  /** Of all sequences. */
  readonly tokens: number;
  /** Those that the loss was taken of. */
  readonly trainedTokens: number;
  readonly microBatches: number;
  /** Share of the computed tokens that were padding. */
  readonly padding: number;
  /** The loss's own sums, over the whole batch. */
  readonly sums: Readonly<Record<string, number>>;
}

export interface TrainingSteps {
  /** Shapes of the parameters that learn, by name. */
  readonly trainable: Readonly<Record<string, Shape>>;
  /** Values are handed over. Without moments, they begin at zero. */
  load(values: ParameterValues, optimizer?: OptimizerValues): Promise<void>;
  /**
   * @param denominator what the summed loss is divided by. @default the weight of all trained tokens
   * @throws {InvalidInputError} if a sequence is wrong, too long for the model or has a token that it does not know; or if nothing is
   *   trained on.
   */
  optimizerStep(
    sequences: readonly TrainingSequence[],
    options: {
      readonly learningRate: number;
      readonly denominator?: number;
      /** Needed where the model leaves values out. */
      readonly dropout?: DropoutCount;
    },
  ): Promise<StepMetrics>;
  /** Those that learn. */
  parameters(): Promise<Record<string, Float32Array>>;
  optimizer(): Promise<OptimizerValues>;
  /** One of those that learn, or a moment of it, as a copy: what is saved need not be in memory twice as a whole. */
  read(name: string, what?: 'value' | 'firstMoment' | 'secondMoment'): Promise<Float32Array>;
  /** Updates since the moments were zero. */
  optimizerSteps(): Promise<number>;
  /** Ends the workspaces. */
  close(): Promise<void>;
}

const DEFAULT_TOKENS = 1024;
const SUFFIXES = { value: '', firstMoment: FIRST_MOMENT, secondMoment: SECOND_MOMENT } as const;

/**
 * Optimizer steps of a language model over one or several workspaces.
 *
 * A batch is cut into micro-batches, which fit the processor's caches better than the whole and need less memory at once. Each
 * workspace computes the gradients of its share of the micro-batches, over parameters of its own; the first one adds them up in
 * the order of the workspaces, updates its parameters, and the others get copies. So the result depends on the number of workspaces
 * (the order of a sum), and not on timing.
 *
 * @param workspaces at least one; these steps own them.
 */
export function createTrainingSteps(
  workspaces: readonly TensorWorkspace[],
  spec: TrainingStepsSpec,
): TrainingSteps {
  const [first, ...others] = workspaces;
  if (first === undefined)
    throw new InvalidInputError('training expected at least one workspace, got none');
  const main = first;
  const { model, loss, tokensPerMicroBatch = DEFAULT_TOKENS } = spec;
  const { trainable, frozen = {} } = model;
  const names = Object.keys(trainable);
  const gradients = names.map((name) => name + GRADIENT);
  const sessions = createTrainingSessions(spec);

  const tensor = (name: string, data: Float32Array): Tensor => ({
    dtype: 'float32',
    shape: (trainable[name] ?? frozen[name]) as Shape,
    data,
  });
  const zeros = (name: string): Float32Array => new Float32Array(sizeOf(trainable[name] as Shape));
  const suffixed = (
    suffix: string,
    values: (name: string) => Float32Array,
  ): Record<string, Tensor> =>
    Object.fromEntries(names.map((name) => [name + suffix, tensor(name, values(name))]));

  /** Parameters to the other workspaces. */
  async function broadcast(): Promise<void> {
    for (const other of others) await other.write(await main.read(names));
  }

  async function load(values: ParameterValues, state?: OptimizerValues): Promise<void> {
    const frozenNames = Object.keys(frozen);
    const missing = [...names, ...frozenNames].filter((name) => values[name] === undefined);
    if (missing.length > 0) {
      throw new InvalidInputError(`parameters are missing: ${missing.join(', ')}`);
    }
    await main.write({
      ...suffixed('', (name) => values[name] as Float32Array),
      ...suffixed(FIRST_MOMENT, (name) => state?.m[name] ?? zeros(name)),
      ...suffixed(SECOND_MOMENT, (name) => state?.v[name] ?? zeros(name)),
      step: {
        dtype: 'int64',
        shape: [],
        data: BigInt64Array.of(BigInt(state?.optimizerSteps ?? 0)),
      },
    });
    for (const workspace of workspaces) await workspace.write(suffixed(GRADIENT, zeros));
    await main.write(
      Object.fromEntries(
        frozenNames.map((name) => [name, tensor(name, values[name] as Float32Array)]),
      ),
    );
    for (const other of others) await other.write(await main.read(frozenNames));
    await broadcast();
  }

  /** Gradients of one workspace's share, added to its own. */
  async function accumulateShare(
    workspace: TensorWorkspace,
    batches: readonly MicroBatch[],
    denominator: number,
    dropout: DropoutCount | undefined,
  ): Promise<Record<string, number>> {
    await workspace.clear(gradients);
    const sums: Record<string, number> = {};
    for (const batch of batches) {
      const session = await sessions.accumulating(workspace, batch);
      const outputs = await session.run(feedsOf(batch, denominator, dropout));
      for (const [name, { data }] of Object.entries(outputs)) {
        sums[name] = (sums[name] ?? 0) + Number(data[0]);
      }
    }
    return sums;
  }

  async function optimizerSteps(): Promise<number> {
    const { step } = await main.read(['step']);
    return Number(step?.data[0]);
  }

  return {
    trainable,
    load,
    async optimizerStep(sequences, { learningRate, denominator, dropout }) {
      if ((model.hasDropout === true) !== (dropout !== undefined)) {
        throw new InvalidInputError(
          'a step is told what dropout is drawn from if, and only if, the model has dropout',
        );
      }
      const batches = packSequences(sequences, {
        tokensPerMicroBatch,
        parts: workspaces.length,
        inputs: loss.inputs,
        vocabSize: model.config.vocabSize,
        maxLength: model.config.maxPositions,
      });
      const weight = denominator ?? totalWeight(batches);
      if (!(weight > 0)) {
        throw new InvalidInputError(
          'a training batch expected tokens to train on, got none: every mask or weight is 0',
        );
      }
      const shares = await Promise.all(
        workspaces.map((workspace, k) =>
          accumulateShare(
            workspace,
            batches.filter((_, i) => i % workspaces.length === k),
            weight,
            dropout,
          ),
        ),
      );
      for (const other of others) {
        const adding = await sessions.adding(main);
        const addends = Object.entries(await other.read(gradients));
        await adding.run(Object.fromEntries(addends.map(([name, value]) => [OTHER + name, value])));
      }
      const total = addUp(shares);
      const updating = await sessions.updating(main);
      const { gradNorm, finite } = await updating.run({
        learningRate: scalar(learningRate),
        loss: scalar(total['loss'] ?? NaN),
      });
      const isFinite = finite?.data[0] === 1;
      if (isFinite) await broadcast();
      const { loss: mean = NaN, ...sums } = total;
      const computed = batches.reduce((sum, { rows, length }) => sum + rows * length, 0);
      const real = batches.reduce((sum, batch) => sum + batch.real, 0);
      return {
        loss: mean,
        gradNorm: Number(gradNorm?.data[0]),
        isFinite,
        learningRate,
        tokens: real,
        trainedTokens: batches.reduce((sum, { trained }) => sum + trained, 0),
        microBatches: batches.length,
        padding: 1 - real / computed,
        sums,
      };
    },
    async parameters() {
      return valuesOf(await main.read(names), '');
    },
    async read(name, what = 'value') {
      if (trainable[name] === undefined) {
        throw new NotFoundError('no parameter of this name learns', { context: { name } });
      }
      const stored = name + SUFFIXES[what];
      const { [stored]: tensor } = await main.read([stored]);
      return tensor?.data as Float32Array;
    },
    optimizerSteps,
    async optimizer() {
      const read = (suffix: string): Promise<Record<string, Tensor>> =>
        main.read(names.map((name) => name + suffix));
      return {
        m: valuesOf(await read(FIRST_MOMENT), FIRST_MOMENT),
        v: valuesOf(await read(SECOND_MOMENT), SECOND_MOMENT),
        optimizerSteps: await optimizerSteps(),
      };
    },
    async close() {
      await Promise.all(workspaces.map((workspace) => workspace.close()));
    },
  };
}

function totalWeight(batches: readonly MicroBatch[]): number {
  let sum = 0;
  for (const { inputs } of batches) for (const weight of inputs['weights'] ?? []) sum += weight;
  return sum;
}

function addUp(shares: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const share of shares) {
    for (const [name, value] of Object.entries(share)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}

function valuesOf(tensors: Record<string, Tensor>, suffix: string): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [
      name.slice(0, name.length - suffix.length),
      data as Float32Array,
    ]),
  );
}

import { InvalidInputError, ShapeError } from '../errors';
import type { DType, Graph, Node, Shape, TensorType } from '../autodiff/graph';
import { formatType } from '../autodiff/graph';
import { GraphBuilder } from '../autodiff/graph-builder';
import { grad } from '../autodiff/grad';
import { NEXT } from '../autodiff/in-place';
import type { AdamOptions, AdamState } from './adam';
import { update } from './update';

export interface TrainStepSpec<P extends string, B extends string> {
  /** Shapes of the parameters, by name. */
  readonly params: Readonly<Record<P, Shape>>;
  /** What is fed anew at each step, by name. */
  readonly batchInputs: Readonly<Record<B, { readonly shape: Shape; readonly dtype?: DType }>>;
  /** The loss, of rank 0, and further outputs by name, of any type (no gradient is taken of them). */
  readonly loss: (
    b: GraphBuilder,
    params: Readonly<Record<P, Node>>,
    batch: Readonly<Record<B, Node>>,
  ) => { readonly loss: Node; readonly metrics?: Readonly<Record<string, Node>> };
  readonly optimizer?: AdamOptions & {
    /** The parameters that weightDecay applies to: weight matrices, by custom. @default none */
    readonly decayed?: readonly P[];
    /** Gradients with a larger global norm are scaled down to it; null: never. @default null */
    readonly maxGradNorm?: number | null;
  };
  /** Of parameters, moments and learning rate. @default 'float32' */
  readonly dtype?: 'float32' | 'float64';
}

/** A tensor that goes in, and comes out renewed under another name. */
export interface StateTensor extends TensorType {
  readonly input: string;
  readonly output: string;
}

export interface TrainStep<P extends string> {
  readonly graph: Graph;
  /** By parameter: itself and its moments. */
  readonly state: Readonly<
    Record<P, { readonly value: StateTensor; readonly m: StateTensor; readonly v: StateTensor }>
  >;
  /** Outputs that are not state: `loss`, `gradNorm`, `finite`, then the spec's own. */
  readonly metrics: readonly string[];
}

/**
 * One optimizer step as one graph.
 *
 * inputs   each parameter `w`, its moments `w.m` and `w.v`; `step` (int64, rank 0: updates done before this one);
 *          `learningRate` (rank 0); the batch
 * outputs  `next.w`, `next.w.m`, `next.w.v`, `next.step`; `loss`, `gradNorm` (before clipping), `finite` (bool); the metrics
 *
 * If the loss or any gradient is NaN or infinite, `finite` is false and parameters, moments and step come out as they went
 * in (see `update`): a bad batch is skipped by the graph itself, and the caller decides what it means.
 *
 * @throws {ShapeError} if the loss is no float scalar; {InvalidInputError} if a name is used twice.
 */
export function buildTrainStep<P extends string, B extends string>({
  params,
  batchInputs,
  loss,
  optimizer = {},
  dtype = 'float32',
}: TrainStepSpec<P, B>): TrainStep<P> {
  const b = new GraphBuilder();
  const names = Object.keys(params) as P[];
  const states = names.map((name): AdamState => {
    const shape = params[name];
    return {
      value: b.input(name, shape, dtype),
      m: b.input(`${name}.m`, shape, dtype),
      v: b.input(`${name}.v`, shape, dtype),
    };
  });
  const step = b.input('step', [], 'int64');
  const learningRate = b.input('learningRate', [], dtype);
  const batch = Object.fromEntries(
    Object.entries<{ shape: Shape; dtype?: DType }>(batchInputs).map(([name, input]) => [
      name,
      b.input(name, input.shape, input.dtype ?? 'float32'),
    ]),
  ) as Record<B, Node>;

  const values = states.map(({ value }) => value);
  const byName = Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<P, Node>;
  const result = loss(b, byName, batch);
  if (result.loss.dtype !== dtype || result.loss.shape.length !== 0) {
    throw new ShapeError(`a loss expected ${dtype}[], got ${formatType(result.loss)}`);
  }
  const gradients = grad(b, result.loss, values);

  const { maxGradNorm = null, decayed = [], ...options } = optimizer;
  const { outputs, gradNorm, finite } = update(
    b,
    states.map((state, i) => ({
      ...state,
      gradient: gradients[i] as Node,
      isDecayed: decayed.includes(names[i] as P),
    })),
    { step, learningRate, loss: result.loss },
    { ...options, maxGradNorm },
  );

  const metrics = { loss: result.loss, gradNorm, finite, ...result.metrics };
  for (const name of Object.keys(metrics)) {
    if (
      name in outputs ||
      (name in (result.metrics ?? {}) && ['loss', 'gradNorm', 'finite'].includes(name))
    ) {
      throw new InvalidInputError('a metric has the name of another output', {
        context: { metric: name },
      });
    }
  }
  const tensor = ({ name, shape }: Node): StateTensor => ({
    input: name,
    output: NEXT + name,
    shape,
    dtype,
  });
  return {
    graph: b.build({ ...outputs, ...metrics }),
    state: Object.fromEntries(
      states.map(({ value, m, v }) => [
        value.name,
        { value: tensor(value), m: tensor(m), v: tensor(v) },
      ]),
    ) as TrainStep<P>['state'],
    metrics: Object.keys(metrics),
  };
}

import type { DType, Graph, Node, Shape } from '../../src/autodiff/graph';
import { graphInputs, sizeOf } from '../../src/autodiff/graph';
import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { grad } from '../../src/autodiff/grad';
import { emitModel } from '../../src/onnx/emit';
import type { Tensor, TensorRuntime } from '../../src/ports/tensor-runtime';
import { stream } from '../../src/rl/counter-rng';
import { evaluate } from './reference';

export interface GradientCase {
  readonly name: string;
  /** Shapes of the differentiated inputs. */
  readonly shapes: readonly Shape[];
  /** Where their values are drawn from, uniformly. @default [-2, 2] */
  readonly range?: readonly [number, number];
  readonly build: (b: GraphBuilder, ...inputs: [Node, Node, Node]) => Node;
}

type Feeds = Record<string, number[]>;

/** Σ weight ⊙ y with fixed weights, so that every element counts differently. */
function weightedSum(b: GraphBuilder, y: Node): Node {
  const weights = uniform('weights', y.shape, [0.5, 1.5]);
  return b.sumAll(b.mul(y, b.constant(arrayOf(y.dtype, weights), y.shape)));
}

/** The graph of `loss` = Σ weight ⊙ f(x0, x1, …), and `g0`, `g1`, …: its gradients. */
export function gradientGraph(
  { shapes, build }: GradientCase,
  dtype: 'float32' | 'float64',
): Graph {
  const b = new GraphBuilder();
  const inputs = shapes.map((shape, i) => b.input(`x${i}`, shape, dtype));
  const loss = weightedSum(b, build(b, ...(inputs as [Node, Node, Node])));
  const gradients = grad(b, loss, inputs);
  return b.build({ loss, ...Object.fromEntries(gradients.map((g, i) => [`g${i}`, g])) });
}

/** The case whose function is the squared length of the gradient of another one's. */
export function secondOrder(one: GradientCase): GradientCase {
  return {
    ...one,
    build: (b, ...inputs) => {
      const loss = weightedSum(b, one.build(b, ...inputs));
      const gradients = grad(b, loss, inputs.slice(0, one.shapes.length));
      return gradients
        .map((g) => b.sumAll(b.square(g)))
        .reduce((sum, square) => b.add(sum, square));
    },
  };
}

export function drawFeeds({ name, shapes, range = [-2, 2] }: GradientCase): Feeds {
  return Object.fromEntries(
    shapes.map((shape, i) => [`x${i}`, uniform(`${name} ${i}`, shape, range)]),
  );
}

/** ∂loss/∂x by central differences of the reference in float64: error about 1e-9 for values near 1. */
export function centralDifferences(graph: Graph, feeds: Feeds, input: string): number[] {
  const lossAt = (x: number[]): number =>
    evaluate(graph, { ...feeds, [input]: x }).get('loss')?.[0] ?? NaN;
  const x = feeds[input] as number[];
  return x.map((value, i) => {
    const h = 1e-5 * Math.max(1, Math.abs(value));
    return (lossAt(x.with(i, value + h)) - lossAt(x.with(i, value - h))) / (2 * h);
  });
}

export async function runOnOrt(
  runtime: TensorRuntime,
  graph: Graph,
  feeds: Feeds,
): Promise<Map<string, number[]>> {
  const session = await runtime.load(emitModel(graph));
  const outputs = await session.run(tensorsOf(graph, feeds));
  await session.release();
  return new Map(
    Object.entries(outputs).map(([name, { data }]) => [name, Array.from(data, Number)]),
  );
}

/** Feeds in the dtypes of the graph's inputs. */
export function tensorsOf(graph: Graph, feeds: Feeds): Record<string, Tensor> {
  const tensors = graphInputs(graph).map(({ name, shape, dtype }) => {
    return [name, { dtype, shape, data: arrayOf(dtype, feeds[name] as number[]) } as Tensor];
  });
  return Object.fromEntries(tensors) as Record<string, Tensor>;
}

export function arrayOf(dtype: DType, values: readonly number[]): Tensor['data'] {
  if (dtype === 'float32') return Float32Array.from(values);
  if (dtype === 'float64') return Float64Array.from(values);
  return dtype === 'int64' ? BigInt64Array.from(values, BigInt) : Uint8Array.from(values);
}

export function uniform(
  key: string,
  shape: Shape,
  [low, high]: readonly [number, number],
): number[] {
  const random = stream({ seed: 11, purpose: 'gradcheck', task: key });
  return Array.from(
    { length: sizeOf(shape) },
    () => low + (random.below(2 ** 20) / 2 ** 20) * (high - low),
  );
}

/** The largest |a − b| / max(1, |b|). */
export function largestError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < a.length; i += 1) {
    const [x, y] = [a[i] as number, b[i] as number];
    const error = Math.abs(x - y) / Math.max(1, Math.abs(y));
    worst = Number.isNaN(error) ? Infinity : Math.max(worst, error);
  }
  return worst;
}

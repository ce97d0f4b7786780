/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../src/adapters/ort/in-thread-runtime';
import type { Node } from '../../src/autodiff/graph';
import type { GraphBuilder } from '../../src/autodiff/graph-builder';
import { vjp } from '../../src/autodiff/vjp';
import { rematerialize } from '../../src/autodiff/rematerialize';
import { rotaryEmbedding, scaledMatMul, silu } from '../../src/autodiff/runtime-operators';
import { causalAttention, packedCausalMask } from '../../src/nn/causal-attention';
import { gelu } from '../../src/nn/gelu';
import { rmsNorm } from '../../src/nn/rms-norm';
import { selectedLogProbs } from '../../src/nn/selected-log-probs';
import { swiglu } from '../../src/nn/swiglu';
import type { GradientCase } from './check-gradient';
import {
  arrayOf,
  centralDifferences,
  drawFeeds,
  gradientGraph,
  largestError,
  runOnOrt,
  secondOrder,
} from './check-gradient';
import { evaluate } from './reference';

const int64 = (b: GraphBuilder, shape: number[], values: number[]): Node =>
  b.constant(BigInt64Array.from(values, BigInt), shape);
const bools = (b: GraphBuilder, shape: number[], values: number[]): Node =>
  b.constant(Uint8Array.from(values), shape);

const POSITIVE = [0.3, 3] as const;
const CASES: GradientCase[] = [
  { name: 'Identity', shapes: [[3]], build: (b, x) => b.identity(x) },
  { name: 'Neg', shapes: [[3]], build: (b, x) => b.neg(x) },
  { name: 'Abs', shapes: [[2, 3]], build: (b, x) => b.abs(x) },
  { name: 'Exp', shapes: [[2, 3]], build: (b, x) => b.exp(x) },
  { name: 'Log', shapes: [[2, 3]], range: POSITIVE, build: (b, x) => b.log(x) },
  { name: 'Sqrt', shapes: [[2, 3]], range: POSITIVE, build: (b, x) => b.sqrt(x) },
  { name: 'Tanh', shapes: [[2, 3]], build: (b, x) => b.tanh(x) },
  { name: 'Erf', shapes: [[2, 3]], build: (b, x) => b.erf(x) },
  { name: 'Erf far out', shapes: [[4]], range: [2, 5], build: (b, x) => b.erf(x) },
  { name: 'Sigmoid', shapes: [[2, 3]], range: [-6, 6], build: (b, x) => b.sigmoid(x) },
  { name: 'Relu', shapes: [[4, 3]], build: (b, x) => b.relu(x) },
  { name: 'Clip', shapes: [[4, 3]], build: (b, x) => b.clip(x, -0.7, 0.9) },
  {
    name: 'Cast there and back',
    shapes: [[3]],
    build: (b, x) => b.cast(b.cast(x, 'float64'), x.dtype),
  },

  {
    name: 'Add',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    build: (b, x, y) => b.add(x, y),
  },
  {
    name: 'Add, broadcast both ways',
    shapes: [
      [2, 1],
      [1, 3],
    ],
    build: (b, x, y) => b.add(x, y),
  },
  {
    name: 'Sub, broadcast',
    shapes: [
      [2, 3],
      [1, 3],
    ],
    build: (b, x, y) => b.sub(x, y),
  },
  {
    name: 'Mul, broadcast in the middle',
    shapes: [
      [2, 3, 2],
      [2, 1, 2],
    ],
    build: (b, x, y) => b.mul(x, y),
  },
  { name: 'Mul by itself', shapes: [[2, 3]], build: (b, x) => b.mul(x, x) },
  {
    name: 'Div, broadcast',
    shapes: [
      [2, 1],
      [2, 3],
    ],
    range: POSITIVE,
    build: (b, x, y) => b.div(x, y),
  },
  {
    name: 'Div by itself, shifted',
    shapes: [[3]],
    range: POSITIVE,
    build: (b, x) => b.div(x, b.addScalar(b.square(x), 1)),
  },
  { name: 'scale by a scalar node', shapes: [[2, 3], []], build: (b, x, s) => b.scale(x, s) },
  {
    name: 'addScalar of a scalar node',
    shapes: [[2, 3], []],
    build: (b, x, s) => b.square(b.addScalar(x, s)),
  },
  {
    name: 'Max',
    shapes: [
      [3, 4],
      [3, 4],
    ],
    build: (b, x, y) => b.max(x, y),
  },
  { name: 'Max with a number', shapes: [[3, 4]], build: (b, x) => b.max(x, 0.25) },
  {
    name: 'Min, broadcast',
    shapes: [
      [3, 4],
      [1, 4],
    ],
    build: (b, x, y) => b.min(x, y),
  },
  {
    name: 'Where, broadcast',
    shapes: [
      [2, 3],
      [2, 1],
    ],
    build: (b, x, y) => b.where(bools(b, [1, 3], [1, 0, 1]), x, y),
  },
  {
    name: 'Where with a number',
    shapes: [[2, 3]],
    build: (b, x) => b.where(b.greater(x, 0), b.square(x), 0.5),
  },
  {
    name: 'select',
    shapes: [
      [2, 3],
      [2, 3],
    ],
    build: (b, x, y) => b.select(bools(b, [], [0]), x, y),
  },

  {
    name: 'MatMul',
    shapes: [
      [2, 3],
      [3, 4],
    ],
    build: (b, x, y) => b.matMul(x, y),
  },
  { name: 'MatMul of a matrix and itself', shapes: [[3, 3]], build: (b, x) => b.matMul(x, x) },
  {
    name: 'MatMul, batched',
    shapes: [
      [2, 2, 3],
      [2, 3, 2],
    ],
    build: (b, x, y) => b.matMul(x, y),
  },
  {
    name: 'MatMul, one matrix for all',
    shapes: [
      [3, 2, 3],
      [1, 3, 2],
    ],
    build: (b, x, y) => b.matMul(x, y),
  },
  ...[0, 1, 2, 3].map((bits): GradientCase => {
    const [transA, transB] = [(bits & 1) === 1, (bits & 2) === 2];
    const shapes = [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4]];
    return {
      name: `Gemm, transposed ${transA} ${transB}`,
      shapes,
      build: (b, x, y) => b.gemm(x, y, { transA, transB }),
    };
  }),
  ...[
    [2, 4],
    [1, 4],
    [2, 1],
  ].map((addend): GradientCase => ({
    name: `Gemm, with [${addend.join()}] added`,
    shapes: [[2, 3], [3, 4], addend],
    build: (b, x, y, z) => b.gemm(x, y, { add: z }),
  })),
  ...[0, 1, 2, 3].map((bits): GradientCase => {
    const [transA, transB] = [(bits & 1) === 1, (bits & 2) === 2];
    return {
      name: `FusedMatMul, transposed ${transA} ${transB}`,
      shapes: [
        [2, ...(transA ? [3, 2] : [2, 3])],
        [2, ...(transB ? [4, 3] : [3, 4])],
      ],
      build: (b, x, y) => scaledMatMul(b, x, y, { transA, transB, alpha: 0.75 }),
    };
  }),
  {
    name: 'FusedMatMul, one operand for all of a stack',
    shapes: [
      [2, 2, 3],
      [1, 4, 3],
    ],
    build: (b, x, y) => scaledMatMul(b, x, y, { transB: true }),
  },
  { name: 'QuickGelu', shapes: [[3, 5]], range: [-6, 6], build: (b, x) => silu(b, x) },
  {
    name: 'QuickGelu, with another alpha',
    shapes: [[3, 5]],
    build: (b, x) =>
      x.dtype === 'float32'
        ? b.append('QuickGelu', [x], { alpha: 1.5 })
        : b.mul(x, b.sigmoid(b.scale(x, 1.5))),
  },
  {
    name: 'RotaryEmbedding, positions out of order and repeated',
    shapes: [[2, 3, 2, 4]],
    build: (b, x) => {
      const angles = [0, 0, 1, 0.1, 2, 0.2]; // [3 positions, 2]
      const table = (f: (angle: number) => number): Node =>
        b.constant(arrayOf(x.dtype, angles.map(f)), [3, 2]);
      return rotaryEmbedding(
        b,
        x,
        int64(b, [2, 2], [0, 2, 1, 1]),
        table(Math.cos),
        table(Math.sin),
      );
    },
  },
  { name: 'Transpose', shapes: [[2, 3, 4]], build: (b, x) => b.transpose(x, [2, 0, 1]) },
  { name: 'Reshape', shapes: [[2, 6]], build: (b, x) => b.reshape(x, [3, 4]) },
  { name: 'Expand', shapes: [[2, 1, 3]], build: (b, x) => b.expand(x, [2, 4, 3]) },
  { name: 'Expand of a scalar', shapes: [[]], build: (b, x) => b.expand(x, [2, 3]) },
  {
    name: 'Concat',
    shapes: [
      [2, 3],
      [2, 1],
      [2, 2],
    ],
    build: (b, x, y, z) => b.concat([x, y, z], 1),
  },
  { name: 'Concat of one twice', shapes: [[2, 3]], build: (b, x) => b.concat([x, x], 0) },
  { name: 'Slice', shapes: [[2, 5]], build: (b, x) => b.slice(x, 1, 1, 4) },
  { name: 'Slice of everything', shapes: [[2, 3]], build: (b, x) => b.slice(x, 0, 0, 2) },
  { name: 'Pad', shapes: [[2, 3]], build: (b, x) => b.pad(x, 1, 2, 1) },

  { name: 'ReduceSum', shapes: [[2, 3, 4]], build: (b, x) => b.reduceSum(x, [0, 2]) },
  {
    name: 'ReduceSum, dimensions dropped',
    shapes: [[2, 3, 4]],
    build: (b, x) => b.reduceSum(x, [1], { keepdims: false }),
  },
  { name: 'ReduceSumSquare', shapes: [[2, 3, 4]], build: (b, x) => b.reduceSumSquare(x, [0, -1]) },
  { name: 'ReduceMean', shapes: [[2, 3, 4]], build: (b, x) => b.reduceMean(x, [-1]) },
  { name: 'meanAll', shapes: [[2, 3]], build: (b, x) => b.meanAll(b.square(x)) },
  { name: 'ReduceMax', shapes: [[3, 4]], build: (b, x) => b.reduceMax(x, [1]) },
  {
    name: 'ReduceMax, dimensions dropped',
    shapes: [[2, 3, 2]],
    build: (b, x) => b.reduceMax(x, [0, 2], { keepdims: false }),
  },
  { name: 'Softmax', shapes: [[3, 4]], build: (b, x) => b.softmax(x) },
  { name: 'Softmax, first axis', shapes: [[3, 4]], build: (b, x) => b.softmax(x, 0) },
  { name: 'LogSoftmax', shapes: [[3, 4]], range: [-8, 8], build: (b, x) => b.logSoftmax(x) },
  { name: 'LogSoftmax, middle axis', shapes: [[2, 3, 2]], build: (b, x) => b.logSoftmax(x, 1) },

  {
    name: 'Gather with repeated rows',
    shapes: [[4, 3]],
    build: (b, x) => b.gather(x, int64(b, [2, 3], [1, 1, 3, 0, 1, 3])),
  },
  {
    name: 'Gather from a vector',
    shapes: [[4]],
    build: (b, x) => b.gather(x, int64(b, [3], [2, 2, 0])),
  },
  {
    name: 'GatherElements with repeats',
    shapes: [[2, 3]],
    build: (b, x) => b.gatherElements(x, int64(b, [2, 4], [0, 0, 2, 1, 2, 2, 2, 0])),
  },
  {
    name: 'ScatterElements, add with repeats',
    shapes: [
      [2, 3],
      [2, 4],
    ],
    build: (b, x, u) =>
      b.scatterElements(x, int64(b, [2, 4], [0, 0, 2, 1, 2, 2, 2, 0]), u, { reduction: 'add' }),
  },
  {
    name: 'ScatterElements, overwriting',
    shapes: [
      [3, 2],
      [2, 2],
    ],
    build: (b, x, u) => b.scatterElements(x, int64(b, [2, 2], [0, 2, 2, 1]), u, { axis: 0 }),
  },

  {
    name: 'a value used on three ways',
    shapes: [[3]],
    build: (b, x) => b.add(b.mul(x, b.exp(x)), b.tanh(x)),
  },
  { name: 'gelu', shapes: [[2, 3]], build: (b, x) => gelu(b, x) },

  // Composites with a gradient of their own
  {
    name: 'rmsNorm',
    shapes: [[4, 3], [3]],
    build: (b, x, weight) => rmsNorm(b, x, weight, 1e-2),
  },
  {
    name: 'swiglu',
    shapes: [
      [3, 4],
      [3, 4],
    ],
    range: [-5, 5],
    build: (b, gate, up) => swiglu(b, gate, up),
  },
  {
    name: 'causalAttention, packed sequences, two heads of q on each of k',
    shapes: [
      [2, 4, 3, 2],
      [2, 2, 3, 2],
      [2, 2, 3, 2],
    ],
    build: (b, q, k, v) => {
      const segments = int64(b, [2, 3], [0, 0, 1, 0, 0, 0]);
      return causalAttention(b, q, k, v, packedCausalMask(b, segments, q.dtype as 'float32'));
    },
  },
  {
    name: 'causalAttention, as many heads of k as of q',
    shapes: [
      [1, 2, 4, 2],
      [1, 2, 4, 2],
      [1, 2, 4, 2],
    ],
    build: (b, q, k, v) => {
      const segments = int64(b, [1, 4], [0, 0, 0, 0]);
      return causalAttention(b, q, k, v, packedCausalMask(b, segments, q.dtype as 'float32'));
    },
  },
  {
    name: 'selectedLogProbs, log-probabilities and entropies together',
    shapes: [
      [4, 3],
      [5, 3],
    ],
    build: (b, hidden, table) => {
      const targets = int64(b, [4], [1, 3, 1, 0]);
      const { logProbs, entropies } = selectedLogProbs(b, hidden, table, targets);
      return b.add(logProbs, b.scale(entropies, 0.7));
    },
  },
  {
    name: 'selectedLogProbs, repeated targets',
    shapes: [
      [4, 3],
      [5, 3],
    ],
    build: (b, hidden, table) =>
      selectedLogProbs(b, hidden, table, int64(b, [4], [1, 3, 1, 0])).logProbs,
  },
  {
    name: 'rematerialize, its inputs a leaf, an inner node and an index',
    shapes: [
      [3, 2],
      [2, 2],
    ],
    build: (b, x, w) =>
      rematerialize(b, [b.tanh(x), w, int64(b, [2], [2, 0])], (h, weight, at) =>
        b.gather(b.sigmoid(b.matMul(b.mul(h, h), weight)), at),
      ),
  },
  {
    name: 'layer normalization',
    shapes: [
      [2, 4],
      [1, 4],
    ],
    build: (b, x, w) => {
      const centered = b.sub(x, b.reduceMean(x, [1]));
      const deviation = b.sqrt(b.addScalar(b.reduceMean(b.square(centered), [1]), 1e-5));
      return b.mul(b.div(centered, deviation), w);
    },
  },
  {
    name: 'attention',
    shapes: [
      [2, 2, 3],
      [2, 2, 3],
      [2, 2, 3],
    ],
    build: (b, q, k, v) => b.matMul(b.softmax(b.scale(b.matMul(q, b.transpose(k)), 0.5)), v),
  },
];

describe('gradient rules', () => {
  const runtime = createInThreadRuntime({ threads: 2 });
  afterAll(() => runtime.close());

  test.each(CASES)(
    '$name: central differences in float64, and ONNX Runtime in float32, agree',
    async (one) => {
      const feeds = drawFeeds(one);
      const reference = gradientGraph(one, 'float64');
      const exact = evaluate(reference, feeds);
      const measured = await runOnOrt(runtime, gradientGraph(one, 'float32'), feeds);
      one.shapes.forEach((_, i) => {
        const gradient = exact.get(`g${i}`) as Float64Array;
        expect(largestError(gradient, centralDifferences(reference, feeds, `x${i}`))).toBeLessThan(
          1e-7,
        );
        expect(largestError(measured.get(`g${i}`) as number[], gradient)).toBeLessThan(1e-5);
      });
      expect(
        largestError(measured.get('loss') as number[], exact.get('loss') as Float64Array),
      ).toBeLessThan(1e-5);
    },
  );

  test('every rule of the table is checked above', () => {
    const checked = new Set(
      CASES.flatMap((one) =>
        (['float32', 'float64'] as const).flatMap((dtype) =>
          gradientGraph(one, dtype).nodes.map(({ op }) => op),
        ),
      ),
    );
    const ruled = Object.entries(vjp).flatMap(([op, rule]) =>
      typeof rule === 'function' ? [op] : [],
    );
    expect(ruled.filter((op) => !checked.has(op as Node['op']))).toEqual([]);
  });

  // Differentiating Σ g² of a first gradient g checks the rules applied to each other's results.
  const SMOOTH = CASES.filter(
    ({ name }) => !/^(Relu|Abs|Clip|Max|Min|ReduceMax|Where|Cast)/.test(name),
  );
  test.each(SMOOTH)(
    '$name: the gradient of its gradient agrees with central differences',
    (one) => {
      const feeds = drawFeeds(one);
      const graph = gradientGraph(secondOrder(one), 'float64');
      const values = evaluate(graph, feeds);
      one.shapes.forEach((_, i) => {
        const gradient = values.get(`g${i}`) as Float64Array;
        expect(largestError(gradient, centralDifferences(graph, feeds, `x${i}`))).toBeLessThan(
          1e-6,
        );
      });
    },
  );
});

/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../src/adapters/ort/in-thread-runtime';
import type { Graph, Node } from '../../src/autodiff/graph';
import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { grad } from '../../src/autodiff/grad';
import { largestError, runOnOrt, tensorsOf, uniform } from './check-gradient';
import { emitModel } from '../../src/onnx/emit';
import { evaluate } from './reference';

// Where a function has no derivative, central differences say nothing: what we give there is a written convention.

// Spinning threads start at once, so that two of them really are at work together: without, a race hides.
const runtime = createInThreadRuntime({ threads: 2, allowSpinning: true });
afterAll(() => runtime.close());

/** ∂ Σ f(x, y) / ∂(x, y) by ONNX Runtime; the reference must agree. */
async function gradientAt(
  f: (b: GraphBuilder, x: Node, y: Node) => Node,
  x: number[],
  y: number[] = [],
): Promise<[number[], number[]]> {
  const b = new GraphBuilder();
  const inputs = [b.input('x', [x.length]), b.input('y', [y.length])] as [Node, Node];
  const [gx, gy] = grad(b, b.sumAll(f(b, ...inputs)), inputs) as [Node, Node];
  const graph = b.build({ gx, gy });
  const measured = await runOnOrt(runtime, graph, { x, y });
  const reference = evaluate(graph, { x, y });
  for (const name of ['gx', 'gy']) {
    expect(Array.from(reference.get(name) ?? [])).toEqual(measured.get(name));
  }
  return [measured.get('gx') as number[], measured.get('gy') as number[]];
}

test('relu and |x| have derivative 0 at 0', async () => {
  expect((await gradientAt((b, x) => b.relu(x), [-1, 0, 1]))[0]).toEqual([0, 0, 1]);
  expect((await gradientAt((b, x) => b.abs(x), [-1, 0, 1]))[0]).toEqual([-1, 0, 1]);
});

test('clip passes gradients on its closed interval', async () => {
  expect((await gradientAt((b, x) => b.clip(x, -1, 1), [-2, -1, 0, 1, 2]))[0]).toEqual([
    0, 1, 1, 1, 0,
  ]);
});

test('max and min split a tie evenly, and give all to the one taken otherwise', async () => {
  expect(await gradientAt((b, x, y) => b.max(x, y), [1, 2, 3], [1, 3, 2])).toEqual([
    [0.5, 0, 1],
    [0.5, 1, 0],
  ]);
  expect(await gradientAt((b, x, y) => b.min(x, y), [1, 2, 3], [1, 3, 2])).toEqual([
    [0.5, 1, 0],
    [0.5, 0, 1],
  ]);
});

test('the maximum of x and itself has derivative 1', async () => {
  expect((await gradientAt((b, x) => b.max(x, x), [1, 2]))[0]).toEqual([1, 1]);
});

test('a reduced maximum splits ties evenly', async () => {
  expect((await gradientAt((b, x) => b.reduceMax(x, [0]), [3, 1, 3, 3, 0, 3]))[0]).toEqual([
    0.25, 0, 0.25, 0.25, 0, 0.25,
  ]);
});

test('where keeps a cotangent of 0 on the side that is not taken', async () => {
  const f = (b: GraphBuilder, x: Node, y: Node): Node =>
    b.where(b.less(x, y), b.square(x), b.scale(y, 3));
  expect(await gradientAt(f, [1, 5], [2, 2])).toEqual([
    [2, 0],
    [0, 3],
  ]);
});

test('a number cast to an integer, and a comparison, pass no gradient', async () => {
  const f = (b: GraphBuilder, x: Node): Node =>
    b.mul(b.cast(b.cast(x, 'int64'), 'float32'), b.cast(b.greater(x, 0), 'float32'));
  expect((await gradientAt(f, [1.5, 2.5]))[0]).toEqual([0, 0]);
});

// Where this was done by ScatterND with reduction 'add', updates got lost (onnxruntime#18048, #23396).
test('rows gathered many times over get the sum of their gradients, 40 times the same with 2 threads', async () => {
  const [rows, width, count] = [2, 16, 50_000];
  const b = new GraphBuilder();
  const table = b.input('table', [rows, width]);
  const indices = b.input('indices', [count], 'int64');
  const weights = b.input('weights', [count, width]);
  const loss = b.sumAll(b.mul(b.gather(table, indices), weights));
  const graph = b.build({ g: grad(b, loss, [table])[0] as Node });
  const at = uniform('rows', [count], [0, rows]).map(Math.floor);
  // Multiples of 1/1024 within ±1: their sums are exact in float32, in any order.
  const feeds = {
    table: Array<number>(rows * width).fill(0),
    indices: at,
    weights: uniform('w', [count, width], [-1, 1]).map((w) => Math.round(w * 1024) / 1024),
  };
  const expected = new Float64Array(rows * width);
  feeds.weights.forEach((w, i) => {
    const target = (at[Math.floor(i / width)] as number) * width + (i % width);
    expected[target] = (expected[target] as number) + w;
  });
  await expectSameRuns(graph, feeds, expected);
});

test('elements gathered many times over get the sum of their gradients, 40 times the same with 2 threads', async () => {
  const [rows, columns, count] = [64, 4, 500];
  const b = new GraphBuilder();
  const x = b.input('x', [rows, columns]);
  const indices = b.input('indices', [rows, count], 'int64');
  const graph = b.build({ g: grad(b, b.sumAll(b.gatherElements(x, indices)), [x])[0] as Node });
  const at = uniform('columns', [rows, count], [0, columns]).map(Math.floor);
  const expected = new Float64Array(rows * columns);
  at.forEach((column, i) => {
    const target = Math.floor(i / count) * columns + column;
    expected[target] = (expected[target] as number) + 1;
  });
  await expectSameRuns(graph, { x: Array<number>(rows * columns).fill(0), indices: at }, expected);
});

async function expectSameRuns(
  graph: Graph,
  feeds: Record<string, number[]>,
  expected: Float64Array,
): Promise<void> {
  const session = await runtime.load(emitModel(graph));
  const tensors = tensorsOf(graph, feeds);
  for (let run = 0; run < 40; run += 1) {
    const { g } = await session.run(tensors);
    expect(largestError(g?.data as Float32Array, expected)).toBe(0);
  }
}

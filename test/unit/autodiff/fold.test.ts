/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../../src/adapters/ort/in-thread-runtime';
import { fold } from '../../../src/autodiff/fold';
import type { Graph, Node } from '../../../src/autodiff/graph';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { emitModel } from '../../../src/onnx/emit';
import type { Tensor } from '../../../src/ports/tensor-runtime';

const runtime = createInThreadRuntime({ threads: 1 });
afterAll(() => runtime.close());

const ODD = [0, -0, 1, -1.5, 0.1, 3.4e38, 1e-40, Infinity, -Infinity, NaN, 16777217, 1 / 3];
const x = (b: GraphBuilder): Node => b.input('x', [3, 4]);
const odd = (b: GraphBuilder): Node => b.constant(Float32Array.from(ODD), [3, 4]);
const row = (b: GraphBuilder): Node => b.constant(Float32Array.of(1, -2, 0.3, 4), [1, 4]);
const ints = (b: GraphBuilder): Node => b.constant(BigInt64Array.of(1n, -5n, 7n), [3, 1]);

/** −0 is not 0 here, and NaN is NaN: its sign and payload are the processor's. */
async function valuesOf(graph: Graph): Promise<Record<string, (number | bigint)[]>> {
  const session = await runtime.load(emitModel(graph));
  const data = Float32Array.from(ODD, (value, i) => value + i);
  const feeds: Record<string, Tensor> = session.inputNames.includes('x')
    ? { x: { dtype: 'float32', shape: [3, 4], data } }
    : {};
  const outputs = await session.run(feeds);
  await session.release();
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [name, [...tensor.data]]),
  );
}

const operators = (graph: Graph): string[] =>
  graph.nodes.map(({ op }) => op).filter((op) => op !== 'Input' && op !== 'Constant');

describe.each<[string, (b: GraphBuilder) => Node]>([
  ['a sum', (b) => b.add(odd(b), row(b))],
  ['a difference', (b) => b.sub(row(b), odd(b))],
  ['a product', (b) => b.mul(odd(b), odd(b))],
  ['a sign', (b) => b.neg(odd(b))],
  ['a size', (b) => b.abs(odd(b))],
  ['a root', (b) => b.sqrt(b.abs(odd(b)))],
  ['a comparison', (b) => b.cast(b.lessOrEqual(odd(b), b.expand(row(b), [3, 4])), 'float32')],
  ['equality', (b) => b.cast(b.equal(odd(b), odd(b)), 'float32')],
  ['a transpose', (b) => b.transpose(b.reshape(odd(b), [2, 3, 2]), [2, 0, 1])],
  ['an expansion', (b) => b.expand(row(b), [3, 4])],
  ['integers', (b) => b.sub(b.mul(ints(b), ints(b)), b.constant(BigInt64Array.of(1n, 2n), [1, 2]))],
  ['a wider float', (b) => b.cast(odd(b), 'float64')],
  [
    'a narrower float',
    (b) => b.cast(b.constant(Float64Array.of(0.1, 1e300, -1e-50), [3]), 'float32'),
  ],
])('%s of constants', (_, build) => {
  test('becomes a constant of the same bits', async () => {
    const b = new GraphBuilder();
    const graph = b.build({ y: build(b) });
    const folded = fold(graph);
    expect(operators(graph).length).toBeGreaterThan(0);
    expect(operators(folded)).toEqual([]);
    expect(await valuesOf(folded)).toEqual(await valuesOf(graph));
  });
});

describe.each<[string, (b: GraphBuilder) => Node, string[]]>([
  ['a reshape to the same shape', (b) => b.exp(b.reshape(x(b), [3, 4])), ['Exp']],
  ['a transpose that moves nothing', (b) => b.exp(b.transpose(x(b), [0, 1])), ['Exp']],
  ['a product with ones', (b) => b.exp(b.mul(x(b), b.full([3, 4], 1))), ['Exp']],
  ['a quotient by 1', (b) => b.exp(b.div(x(b), b.full([3, 4], 1))), ['Exp']],
])('%s', (_, build, left) => {
  test('goes', async () => {
    const b = new GraphBuilder();
    const graph = b.build({ y: build(b) });
    const folded = fold(graph);
    expect(operators(folded).filter((op) => op !== 'ConstantOfShape')).toEqual(left);
    expect(await valuesOf(folded)).toEqual(await valuesOf(graph));
  });
});

describe.each<[string, (b: GraphBuilder) => Node]>([
  ['x + 0, since it makes 0 of −0', (b) => b.add(x(b), b.zeros([3, 4]))],
  ['an exp of constants, whose last digit is the runtime’s', (b) => b.exp(odd(b))],
  ['a product with ones that stretches', (b) => b.mul(b.slice(x(b), 0, 0, 1), b.full([3, 4], 1))],
  [
    'a choice, which ONNX Runtime makes 0 of −0 in',
    (b) => b.where(b.less(x(b), odd(b)), odd(b), b.constant(new Float32Array(12), [3, 4])),
  ],
  ['what hangs on an input', (b) => b.mul(x(b), odd(b))],
])('%s', (_, build) => {
  test('stays', async () => {
    const b = new GraphBuilder();
    const graph = b.build({ y: build(b) });
    expect(operators(fold(graph))).toEqual(operators(graph));
    expect(await valuesOf(fold(graph))).toEqual(await valuesOf(graph));
  });
});

test('inputs stay, also those that nothing needs any more, and outputs keep their names', () => {
  const b = new GraphBuilder();
  const unused = x(b);
  const graph = b.build({ y: b.add(row(b), row(b)), z: b.exp(unused) });
  const folded = fold(b.build({ y: graph.outputs.get('y') as Node }));
  expect(folded.nodes.filter(({ op }) => op === 'Input').map(({ name }) => name)).toEqual(['x']);
  expect([...folded.outputs.keys()]).toEqual(['y']);
});

test('what is small does not become large', () => {
  const b = new GraphBuilder();
  const small = b.constant(Float32Array.of(1), [1, 1]);
  const graph = b.build({ y: b.expand(small, [1000, 1000]) });
  expect(operators(fold(graph))).toEqual(['Expand']);
});

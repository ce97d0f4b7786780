import type { Graph, Node } from '../../../src/autodiff/graph';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { grad } from '../../../src/autodiff/grad';
import { rotaryEmbedding, scaledMatMul } from '../../../src/autodiff/runtime-operators';
import { IntegrityError, InvalidInputError, UnsupportedOpError } from '../../../src/errors';
import { IR_VERSION, OPSET_VERSION, emitModel } from '../../../src/onnx/emit';
import type { ModelProto, NodeProto } from '../../../src/onnx/onnx-proto';
import { decodeModel, encodeModel } from '../../../src/onnx/onnx-proto';
import { OP_FORMS } from '../../../src/onnx/op-forms';
import { readModel } from '../../../src/onnx/read';

const UNARY = [
  'identity',
  'stopGradient',
  'neg',
  'abs',
  'sign',
  'exp',
  'log',
  'sqrt',
  'tanh',
  'erf',
  'sigmoid',
  'relu',
] as const;
const BINARY = ['add', 'sub', 'mul', 'div', 'max', 'min'] as const;
const COMPARISONS = ['equal', 'less', 'lessOrEqual', 'greater', 'greaterOrEqual'] as const;

/** A graph with every operator, its attributes away from their defaults. */
function everything(): Graph {
  const b = new GraphBuilder();
  const x = b.input('x', [2, 3]);
  const i = b.constant(BigInt64Array.of(0n, 1n, 1n, 0n), [2, 2], 'int64', 'where to');
  const [unary, flags] = [b.input('u', [2, 3]), b.input('flags', [2, 3], 'bool')];
  const angles = b.input('angles', [1, 2, 2, 2]);
  const y = UNARY.reduce((node, op) => b[op](node), unary);
  const z = BINARY.reduce((node, op) => b[op](node, x), y);
  const conditions = COMPARISONS.map((op) => b[op](x, z));
  const condition = conditions.reduce((c, d) => b.or(b.and(c, b.not(d)), flags));
  const numeric = b.or(b.isNaN(z), b.or(b.isInf(z), condition));
  const table = b.constant(Float32Array.of(0, 1), [2, 1]);
  const turned = rotaryEmbedding(
    b,
    angles,
    b.constant(BigInt64Array.of(1n, 0n), [1, 2]),
    table,
    table,
  );
  const scores = scaledMatMul(b, turned, angles, { transB: true, alpha: 0.3 });
  const gated = b.append('QuickGelu', [scores], { alpha: 1.5 });
  const size = b.reduceSumSquare(b.reshape(gated, [2, 4]), [1]);
  const w = b.where(numeric, b.add(b.clip(x, -0.1, 0.3), size), b.full([1, 3], 0.7));
  const product = b.matMul(
    b.gemm(w, x, { transA: true }),
    b.transpose(b.gemm(x, x, { transA: true, transB: false, add: b.zeros([1, 3]) }), [1, 0]),
  );
  const cut = b.concat(
    [b.pad(b.slice(product, 1, 0, 2), 1, 1, 0), b.expand(b.zeros([1, 1]), [1, 3])],
    0,
  );
  const flat = b.reshape(
    b.reduceSum(b.reduceMean(b.reduceMax(cut, [0]), [1], { keepdims: false }), [0]),
    [1, 1],
  );
  const places = b.mod(b.constant(BigInt64Array.of(3n, 4n), [2]), 4);
  const rows = b.gather(b.softmax(b.logSoftmax(cut, 0)), places);
  const elements = b.gatherElements(rows, i, 1);
  const spread = b.scatterElements(rows, i, elements, { axis: 1, reduction: 'add' });
  const scattered = b.scatterND(spread, b.constant(BigInt64Array.of(1n), [1, 1]), b.zeros([1, 3]));
  const wide = b.cast(b.add(scattered, flat), 'float64');
  return b.build({ wide, again: wide, x_copy: x, table: i, count: b.zeros([2], 'int64') });
}

/** A graph as plain values, for comparison. Constants stand where they are first used after reading. */
function describeGraph({ nodes, outputs }: Graph): object {
  const plain = ({ name, op, inputs, attributes, shape, dtype }: Node): object => ({
    name,
    op,
    inputs: inputs.map((input) => input.name),
    attributes,
    shape,
    dtype,
  });
  return {
    nodes: nodes.filter(({ op }) => op !== 'Constant').map(plain),
    constants: nodes
      .filter(({ op }) => op === 'Constant')
      .map(plain)
      .map((c) => JSON.stringify(c, bigint))
      .sort(),
    outputs: [...outputs].map(([name, node]) => [name, node.name]),
  };
}
const bigint = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `${value}n` : value;

test('every operator comes back from its bytes as it was, gradients included', () => {
  const graph = everything();
  const written = new Set(graph.nodes.map(({ op }) => op as string));
  expect(Object.keys(OP_FORMS).filter((op) => !written.has(op))).toEqual([]);
  expect(describeGraph(readModel(emitModel(graph)))).toEqual(describeGraph(graph));

  const b = new GraphBuilder();
  const x = b.input('x', [3, 4]);
  const loss = b.sumAll(b.logSoftmax(b.clip(x, -0.1, 0.1)));
  const step = b.build({ loss, g: grad(b, loss, [x])[0] as Node });
  expect(describeGraph(readModel(emitModel(step)))).toEqual(describeGraph(step));
});

test('a graph always gives the same bytes, also after it was read back', () => {
  const bytes = emitModel(everything());
  expect(Buffer.from(emitModel(everything())).equals(bytes)).toBe(true);
  expect(Buffer.from(emitModel(readModel(bytes))).equals(bytes)).toBe(true);
});

test('a model names its opset, inputs and outputs', () => {
  const { irVersion, opsetImport, graph } = decodeModel(emitModel(everything()));
  const opset = { domain: '', version: OPSET_VERSION };
  expect(irVersion).toBe(IR_VERSION);
  expect(opsetImport).toEqual([opset, { domain: 'com.microsoft', version: 1 }]);
  expect(graph.input.map(({ name }) => name)).toEqual(['x', 'u', 'flags', 'angles']);
  expect(graph.output.map(({ name }) => name)).toEqual([
    'wide',
    'again',
    'x_copy',
    'table',
    'count',
  ]);
});

test('a model of standard operators imports nothing else', () => {
  const b = new GraphBuilder();
  const { opsetImport } = decodeModel(emitModel(b.build({ y: b.exp(b.input('x', [2])) })));
  expect(opsetImport).toEqual([{ domain: '', version: OPSET_VERSION }]);
});

test('equal constant inputs of several nodes are stored once', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [2, 2]);
  const { graph } = decodeModel(
    emitModel(b.build({ y: b.add(b.reduceSum(x, [1]), b.reduceMax(x, [1])) })),
  );
  expect(graph.initializer).toHaveLength(1);
});

test('sizes of 0 and attributes of 0 survive', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [0, 2]);
  const graph = b.build({ out: b.concat([x, b.input('y', [1, 2])], 0) });
  expect(describeGraph(readModel(emitModel(graph)))).toEqual(describeGraph(graph));
});

test('names that the emitter uses itself are refused', () => {
  const b = new GraphBuilder();
  const x = b.input('#x', [1]);
  expect(() => emitModel(b.build({ y: b.neg(x) }))).toThrow(InvalidInputError);
});

/** The model of y = reduceSum(x), with its node changed. */
function changed(change: Partial<NodeProto>, rest: Partial<ModelProto['graph']> = {}): Uint8Array {
  const b = new GraphBuilder();
  const x = b.input('x', [2, 2]);
  const model = decodeModel(emitModel(b.build({ y: b.reduceSum(x, [1]) })));
  const [node] = model.graph.node as [NodeProto];
  return encodeModel({
    ...model,
    graph: { ...model.graph, node: [{ ...node, ...change }], ...rest },
  });
}

test.each<[string, Uint8Array, RegExp]>([
  ['an unknown operator', changed({ opType: 'Loop' }), /not in the IR.*op=Loop/],
  ['an operator of another domain', changed({ domain: 'com.microsoft' }), /domain=com.microsoft/],
  [
    'an attribute that the IR does not have',
    changed({ attribute: [{ name: 'noop_with_empty_axes', type: 2, i: 1 }] }),
    /attribute noop_with_empty_axes/,
  ],
  ['computed axes', changed({ input: ['x'] }), /a reduction without axes/],
  ['two outputs', changed({ output: ['y', 'z'] }), /one output/],
  [
    'a symbolic size',
    changed(
      {},
      {
        input: [
          {
            name: 'x',
            type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'batch' }] } } },
          },
        ],
      },
    ),
    /static shapes/,
  ],
  [
    'a dtype that the IR does not have',
    changed(
      {},
      { input: [{ name: 'x', type: { tensorType: { elemType: 10, shape: { dim: [] } } } }] },
    ),
    /dataType=10/,
  ],
])('%s is refused by name', (_, bytes, message) => {
  expect(() => readModel(bytes)).toThrow(UnsupportedOpError);
  expect(() => readModel(bytes)).toThrow(message);
});

test.each<[string, Uint8Array]>([
  ['no protobuf', Buffer.from('not a model at all')],
  ['no graph', new Uint8Array()],
  ['a value that nothing gives', changed({ input: ['nowhere'] })],
  [
    'an initializer that was cut short',
    changed(
      {},
      { initializer: [{ name: '#int64[] 1', dims: [1], dataType: 7, rawData: new Uint8Array(3) }] },
    ),
  ],
])('damaged bytes are refused: %s', (_, bytes) => {
  expect(() => readModel(bytes)).toThrow(IntegrityError);
});

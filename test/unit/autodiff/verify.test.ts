import type { Graph, Node } from '../../../src/autodiff/graph';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { verify } from '../../../src/autodiff/verify';
import { InvalidInputError, ShapeError, UnsupportedOpError } from '../../../src/errors';
import { emitModel } from '../../../src/onnx/emit';

function simple(): { graph: Graph; x: Node; y: Node } {
  const b = new GraphBuilder();
  const x = b.input('x', [2]);
  const y = b.neg(x);
  return { graph: b.build({ out: y }), x, y };
}

test('ScatterND that adds is refused, since it races: in verify, in build, and so in every emitted model', () => {
  const b = new GraphBuilder();
  const at = b.constant(BigInt64Array.of(0n, 0n), [2, 1]);
  const sum = b.scatterND(b.zeros([3]), at, b.input('updates', [2]), 'add');
  expect(() => b.build({ sum })).toThrow(UnsupportedOpError);
  expect(() => b.build({ sum })).toThrow(/races.*ScatterElements.*ScatterND_/);
  expect(() => emitModel({ nodes: b.nodes, outputs: new Map([['sum', sum]]) })).toThrow(/races/);
});

test('ScatterND that overwrites is allowed', () => {
  const b = new GraphBuilder();
  const at = b.constant(BigInt64Array.of(0n, 2n), [2, 1]);
  const out = b.scatterND(b.zeros([3]), at, b.input('updates', [2]));
  expect(() => b.build({ out })).not.toThrow();
});

test('a node with another type than its operator gives is refused', () => {
  const { x, y, graph } = simple();
  const wrong = { ...y, shape: [3] } as Node;
  expect(() => verify({ nodes: [x, wrong], outputs: new Map([['out', wrong]]) })).toThrow(
    ShapeError,
  );
  expect(() => verify(graph)).not.toThrow();
});

test.each<[string, (parts: { x: Node; y: Node }) => Graph, RegExp]>([
  [
    'a node before its input',
    ({ x, y }) => ({ nodes: [y, x], outputs: new Map([['out', y]]) }),
    /before one of its inputs/,
  ],
  [
    'a missing input',
    ({ y }) => ({ nodes: [y], outputs: new Map([['out', y]]) }),
    /or that is missing/,
  ],
  [
    'one name twice',
    ({ x, y }) => ({ nodes: [x, { ...y, name: 'x' }], outputs: new Map([['out', x]]) }),
    /one name/,
  ],
  ['no outputs', ({ x }) => ({ nodes: [x], outputs: new Map() }), /at least one output/],
  [
    'an output from elsewhere',
    ({ x, y }) => ({ nodes: [x], outputs: new Map([['out', y]]) }),
    /not in the graph/,
  ],
  [
    'an output with the name of another node',
    ({ x, y }) => ({ nodes: [x, y], outputs: new Map([['x', y]]) }),
    /name of another node/,
  ],
  [
    'an input as an output of the same name',
    ({ x }) => ({ nodes: [x], outputs: new Map([['x', x]]) }),
    /same name/,
  ],
])('%s is refused', (_, graphOf, message) => {
  expect(() => verify(graphOf(simple()))).toThrow(InvalidInputError);
  expect(() => verify(graphOf(simple()))).toThrow(message);
});

test('an operator that is not in the table is refused', () => {
  const { x, y } = simple();
  const unknown = { ...y, op: 'Mystery' } as unknown as Node;
  expect(() => verify({ nodes: [x, unknown], outputs: new Map([['out', unknown]]) })).toThrow(
    UnsupportedOpError,
  );
});

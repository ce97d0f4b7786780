import type { Node } from '../../../src/autodiff/graph';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { withGradient } from '../../../src/autodiff/custom-gradient';
import { grad, pullback } from '../../../src/autodiff/grad';
import { rematerialize } from '../../../src/autodiff/rematerialize';
import { printGraph } from '../../../src/autodiff/print';
import { vjp } from '../../../src/autodiff/vjp';
import { InvalidInputError, ShapeError, UnsupportedOpError } from '../../../src/errors';
import { evaluate } from '../../gradcheck/reference';

function valueOf(b: GraphBuilder, node: Node, feeds: Record<string, number[]>): number[] {
  return Array.from(evaluate(b.build({ out: node }), feeds).get('out') ?? []);
}

test('a parameter that the loss does not use gets zeros of its shape', () => {
  const b = new GraphBuilder();
  const [x, unused] = [b.input('x', [2]), b.input('unused', [2, 3])];
  const [, zeros] = grad(b, b.sumAll(b.square(x)), [x, unused]) as [Node, Node];
  expect(zeros.shape).toEqual([2, 3]);
  expect(valueOf(b, zeros, { x: [1, 2], unused: [1, 1, 1, 1, 1, 1] })).toEqual([0, 0, 0, 0, 0, 0]);
});

test('an operator without a rule is an error that names the node, also where it is another table', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [3]);
  const at = b.constant(BigInt64Array.of(1n), [1, 1]);
  const loss = b.sumAll(b.scatterND(x, at, b.zeros([1])));
  expect(() => grad(b, loss, [x])).toThrow(UnsupportedOpError);
  expect(() => grad(b, loss, [x])).toThrow(/no gradient rule.*op=ScatterND, node=ScatterND_3/);
  const withoutExp = Object.fromEntries(Object.entries(vjp).filter(([op]) => op !== 'Exp'));
  expect(() => grad(b, b.sumAll(b.exp(x)), [x], withoutExp)).toThrow(UnsupportedOpError);
});

test('an operator without a rule that does not lie between parameter and loss does no harm', () => {
  const b = new GraphBuilder();
  const [x, y] = [b.input('x', [3]), b.input('y', [3])];
  const at = b.constant(BigInt64Array.of(1n), [1, 1]);
  const fixed = b.scatterND(y, at, b.zeros([1]));
  const [g] = grad(b, b.sumAll(b.mul(x, fixed)), [x]) as [Node];
  expect(valueOf(b, g, { x: [1, 1, 1], y: [5, 6, 7] })).toEqual([5, 0, 7]);
});

test('stopGradient cuts one way and leaves the other', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [2]);
  const [g] = grad(b, b.sumAll(b.mul(b.stopGradient(x), x)), [x]) as [Node];
  expect(valueOf(b, g, { x: [3, 4] })).toEqual([3, 4]); // x · x would give 2x
});

test('contributions of several uses are added', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [2]);
  const loss = b.sumAll(b.add(b.add(x, x), b.square(x)));
  expect(valueOf(b, grad(b, loss, [x])[0] as Node, { x: [3, 4] })).toEqual([8, 10]);
});

test('gradients can be taken of inner nodes, of the loss itself, and of gradients', () => {
  const b = new GraphBuilder();
  const x = b.input('x', []);
  const inner = b.square(x);
  const loss = b.mul(inner, x); // x³
  const [gInner, gLoss, gx] = grad(b, loss, [inner, loss, x]) as [Node, Node, Node];
  const [second] = grad(b, gx, [x]) as [Node];
  const [third] = grad(b, second, [x]) as [Node];
  const at = (node: Node): number[] => valueOf(b, node, { x: [2] });
  expect([at(gInner), at(gLoss), at(gx), at(second), at(third)]).toEqual([
    [2],
    [1],
    [12],
    [12],
    [6],
  ]);
});

test('a parameter that is asked for twice gets its gradient twice', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [1]);
  const [first, second] = grad(b, b.sumAll(b.square(x)), [x, x]);
  expect(first).toBe(second);
});

test('a loss that is no float scalar, and a parameter that is no float, are refused', () => {
  const b = new GraphBuilder();
  const [x, i] = [b.input('x', [2]), b.input('i', [2], 'int64')];
  expect(() => grad(b, x, [x])).toThrow(ShapeError);
  expect(() => grad(b, b.sumAll(x), [i])).toThrow(InvalidInputError);
});

test('a rule that returns too few cotangents, or one of a wrong shape, is caught', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [2]);
  const loss = b.sumAll(b.add(x, x));
  expect(() => grad(b, loss, [x], { ...vjp, Add: (_b, _node, dy) => [dy] })).toThrow(
    /gave 1 cotangents for 2 inputs/,
  );
  const tooSmall = { ...vjp, Add: () => [b.zeros([1]), null] };
  expect(() => grad(b, loss, [x], tooSmall)).toThrow(/expected float32\[2\], got float32\[1\]/);
});

test('a graph prints one line per node', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [2, 3]);
  const graph = b.build({ y: b.scale(b.reduceMax(x, [1]), 0.5) });
  expect(printGraph(graph)).toBe(
    [
      'x: float32[2,3] = Input()',
      'ReduceMax_1: float32[2,1] = ReduceMax(x, axes=[1], keepdims=true)',
      'Constant_2: float32[] = Constant(data=[0.5])',
      'Mul_3: float32[2,1] = Mul(ReduceMax_1, Constant_2)',
      'output y: float32[2,1] = Mul_3',
      '',
    ].join('\n'),
  );
});

test('a composite takes its own rule, and what it is made of is left alone', () => {
  const b = new GraphBuilder();
  const x = b.input('x', [2]);
  const y = withGradient(b.square(x), [x], (dy) => [b.scale(dy, 10)]);
  const [g] = grad(b, b.sumAll(y), [x]) as [Node];
  expect(valueOf(b, g, { x: [3, 4] })).toEqual([10, 10]);
});

test('a composite that forgets an input is refused, since its gradient would be a silent zero', () => {
  const b = new GraphBuilder();
  const [x, w] = [b.input('x', [2]), b.input('w', [2])];
  const y = b.mul(b.exp(x), w);
  expect(() => withGradient(y, [x], (dy) => [dy])).toThrow(/list all.*missing=w/);
  expect(() => rematerialize(b, [x], (h) => b.mul(h, w))).toThrow(/missing=w/);
});

test('a rule of a composite gives one cotangent per input, of its type', () => {
  const b = new GraphBuilder();
  const [x, w] = [b.input('x', [2]), b.input('w', [2])];
  const few = withGradient(b.mul(x, w), [x, w], (dy) => [dy]);
  expect(() => grad(b, b.sumAll(few), [x])).toThrow(/1 cotangents for 2 inputs/);
  const wrong = withGradient(b.mul(x, w), [x, w], (dy) => [b.sumAll(dy), null]);
  expect(() => grad(b, b.sumAll(wrong), [x])).toThrow(ShapeError);
});

test('a rematerialized block is computed again behind its cotangent, and not kept', () => {
  const b = new GraphBuilder();
  const x = b.tanh(b.input('x', [3]));
  const y = rematerialize(b, [x], (h) => b.exp(b.exp(h)));
  const loss = b.sumAll(b.square(y));
  const before = b.nodes.length;
  grad(b, loss, [x]);
  const added = b.nodes.slice(before);
  expect(added.filter(({ op }) => op === 'Exp')).toHaveLength(2);
  const inner = b.nodes.slice(0, before).find(({ op }) => op === 'Exp') as Node;
  expect(added.some(({ inputs }) => inputs.includes(inner))).toBe(false);
});

test('pullback takes any cotangent, and the loss is one of them', () => {
  const b = new GraphBuilder();
  const [x, dy] = [b.input('x', [2]), b.input('dy', [2])];
  const [g] = pullback(b, b.square(x), dy, [x]) as [Node];
  expect(valueOf(b, g, { x: [3, 4], dy: [1, 10] })).toEqual([6, 80]);
});

import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { InvalidInputError, ShapeError } from '../../../src/errors';

const b = new GraphBuilder();
const matrix = b.input('matrix', [2, 3]);
const row = b.input('row', [3]);
const scalar = b.input('scalar', []);
const double = b.input('double', [2, 3], 'float64');
const index = b.input('index', [2, 3], 'int64');
const flags = b.input('flags', [2, 3], 'bool');

test.each([
  [
    'a row meets a matrix',
    () => b.add(matrix, row),
    /Add expected operands of equal rank.*matrix: float32\[2,3\].*row: float32\[3\]/,
  ],
  [
    'a row meets a matrix behind the builder’s back',
    () => b.append('Add', [matrix, row], {}),
    /Add expected operands of equal rank, or a scalar/,
  ],
  ['a scalar node meets a matrix without saying so', () => b.mul(matrix, scalar), /use scale/],
  [
    'dtypes differ',
    () => b.add(matrix, double),
    /operands of one dtype.*matrix: float32\[2,3\]; double: float64\[2,3\]/,
  ],
  ['sizes differ', () => b.add(matrix, b.zeros([2, 2])), /in dimension 1/],
  ['booleans are added', () => b.add(flags, flags), /one dtype, float32, float64 or int64/],
  ['an integer goes where floats belong', () => b.exp(index), /float32 or float64/],
  [
    'the inner sizes of a product differ',
    () => b.matMul(matrix, matrix),
    /\[…, m, k\] · \[…, k, n\]/,
  ],
  ['a product of a vector', () => b.matMul(matrix, row), /equal ranks of at least 2/],
  [
    'a reshape changes the number of elements',
    () => b.reshape(matrix, [7]),
    /a shape of 6 elements, got \[7\]/,
  ],
  ['an expansion shrinks', () => b.expand(matrix, [2, 1]), /only stretches sizes of 1/],
  ['an axis is out of range', () => b.softmax(matrix, 2), /an axis in \[0, 2\), got 2/],
  ['a slice reaches too far', () => b.slice(matrix, 1, 1, 4), /end <= 3, got \[1, 4\)/],
  ['an axis is reduced twice', () => b.reduceSum(matrix, [1, -1]), /ascending axes/],
  ['indices are floats', () => b.gather(matrix, row), /int64 indices/],
  ['a condition is no bool', () => b.where(matrix, matrix, matrix), /a bool condition/],
  [
    'select has a condition per element',
    () => b.select(flags, matrix, matrix),
    /condition of rank 0/,
  ],
  ['scale by a tensor', () => b.scale(matrix, row), /expected a scalar, got float32\[3\]/],
  ['a constant has too few values', () => b.constant(Float32Array.of(1), [2]), /2 values, got 1/],
  [
    'a constant is of another class than its dtype',
    () => b.constant(Float32Array.of(1), [1], 'float64'),
    /data of dtype float64/,
  ],
  ['a permutation misses an axis', () => b.transpose(matrix, [0, 0]), /a permutation of 2 axes/],
  ['a clip is upside down', () => b.clip(matrix, 1, -1), /min <= max, got 1 and -1/],
  ['a size is negative', () => b.input('bad', [-1]), /non-negative integer sizes/],
  ['nothing is concatenated', () => b.concat([], 0), /at least 1 inputs, got 0/],
])('%s: an error that says what was expected', (_, build, message) => {
  expect(build).toThrow(ShapeError);
  expect(build).toThrow(message);
});

test('sizes of 1 stretch, both ways', () => {
  const [column, line] = [b.input('column', [4, 1]), b.input('line', [1, 5])];
  expect(b.add(column, line).shape).toEqual([4, 5]);
});

test('a scalar meets a tensor where the call says so', () => {
  expect(b.scale(matrix, scalar).shape).toEqual([2, 3]);
  expect(b.addScalar(matrix, 2).shape).toEqual([2, 3]);
  expect(b.less(matrix, 0)).toMatchObject({ shape: [2, 3], dtype: 'bool' });
  expect(b.select(b.greater(scalar, 0), matrix, 0).shape).toEqual([2, 3]);
});

test('equal scalar constants are one node, and -0 is not 0', () => {
  expect(b.scalar(0.5)).toBe(b.scalar(0.5));
  expect(b.scalar(0.5)).not.toBe(b.scalar(0.5, 'float64'));
  expect(b.scalar(0)).not.toBe(b.scalar(-0));
});

test('a name is used once, and nodes of another builder are refused', () => {
  expect(() => b.input('matrix', [1])).toThrow(InvalidInputError);
  const other = new GraphBuilder().input('matrix', [2, 3]);
  expect(() => b.neg(other)).toThrow(/only use nodes of its own builder/);
});

test('nodes cannot be changed', () => {
  const node = b.neg(matrix);
  expect(() => Object.assign(node, { shape: [6] })).toThrow(TypeError);
  expect(() => (node.inputs as unknown[]).push(row)).toThrow(TypeError);
});

test('a built graph holds what its outputs need, and all inputs', () => {
  const c = new GraphBuilder();
  const x = c.input('x', [2]);
  c.input('unused', [1]);
  const y = c.neg(x);
  c.exp(y);
  const graph = c.build({ y });
  expect(graph.nodes.map(({ name }) => name)).toEqual(['x', 'unused', 'Neg_2']);
  const later = c.build({ z: c.sqrt(y) }); // the builder goes on; the first graph is as it was
  expect(later.nodes).toHaveLength(4);
  expect(graph.nodes).toHaveLength(3);
});

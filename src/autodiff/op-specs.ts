import { ShapeError } from '../errors';
import type { DType, Node, OpAttributes, OpType, Shape, TensorData, TensorType } from './graph';
import { formatType, isFloat, sameShape, sizeOf } from './graph';

/** Rejects a node; `expected` says what would have been right. */
type Fail = (expected: string) => never;

interface OpSpec<O extends OpType> {
  /** How many inputs; a pair: from, to. */
  readonly arity: number | readonly [from: number, to: number];
  /** The result's shape and dtype. Nothing is promoted, cast or broadcast beyond what is written here. */
  readonly infer: (inputs: readonly Node[], attributes: OpAttributes[O], fail: Fail) => TensorType;
}

// `arity` is checked before `infer` runs, so the inputs that a rule names are there.
type Two = readonly [Node, Node];
type Three = readonly [Node, Node, Node];
const first = (inputs: readonly Node[]): Node => inputs[0] as Node;

/**
 * Elementwise broadcasting: equal ranks, where a size of 1 stretches; or one operand is a scalar (rank 0). Different ranks
 * are an error: a [B] that silently meets a [B, B] has cost everyone a week.
 */
function broadcast(shapes: readonly Shape[], fail: Fail): Shape {
  return shapes.reduce((a, b) => {
    if (a.length === 0) return b;
    if (b.length === 0) return a;
    if (a.length !== b.length) fail('operands of equal rank, or a scalar');
    return a.map((size, i) => {
      const other = b[i] as number;
      if (size !== other && size !== 1 && other !== 1) fail(`equal sizes, or 1, in dimension ${i}`);
      return size === 1 ? other : size;
    });
  });
}

function unary<O extends OpType>(
  accepts: (dtype: DType) => boolean,
  names: string,
  to?: DType,
): OpSpec<O> {
  return {
    arity: 1,
    infer: (inputs, _, fail) => {
      const { shape, dtype } = first(inputs);
      if (!accepts(dtype)) fail(`an operand of dtype ${names}`);
      return { shape, dtype: to ?? dtype };
    },
  };
}

function binary<O extends OpType>(
  accepts: (dtype: DType) => boolean,
  names: string,
  to?: DType,
): OpSpec<O> {
  return {
    arity: 2,
    infer: (inputs, _, fail) => {
      const [x, y] = inputs as unknown as Two;
      if (x.dtype !== y.dtype || !accepts(x.dtype)) fail(`operands of one dtype, ${names}`);
      return { shape: broadcast([x.shape, y.shape], fail), dtype: to ?? x.dtype };
    },
  };
}

const isNumber = (dtype: DType): boolean => dtype !== 'bool';
const isBool = (dtype: DType): boolean => dtype === 'bool';
const float = [isFloat, 'float32 or float64'] as const;
const number = [isNumber, 'float32, float64 or int64'] as const;
const bool = [isBool, 'bool'] as const;

function checkAxis(axis: number, rank: number, fail: Fail): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= rank)
    fail(`an axis in [0, ${rank}), got ${axis}`);
}

/** `shape` with the size of one axis replaced. */
function withSize(shape: Shape, axis: number, size: number): Shape {
  return shape.map((old, i) => (i === axis ? size : old));
}

function isShape(shape: Shape): boolean {
  return shape.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function reduction<
  O extends 'ReduceSum' | 'ReduceSumSquare' | 'ReduceMean' | 'ReduceMax',
>(): OpSpec<O> {
  return {
    arity: 1,
    infer: (inputs, { axes, keepdims }, fail) => {
      const { shape, dtype } = first(inputs);
      if (!isFloat(dtype)) fail('an operand of dtype float32 or float64');
      axes.forEach((axis) => checkAxis(axis, shape.length, fail));
      if (axes.some((axis, i) => i > 0 && axis <= (axes[i - 1] as number))) fail('ascending axes');
      const reduced = new Set(axes);
      if (axes.some((axis) => shape[axis] === 0)) fail('no empty dimension among the reduced ones');
      return {
        shape: keepdims
          ? shape.map((size, i) => (reduced.has(i) ? 1 : size))
          : shape.filter((_, i) => !reduced.has(i)),
        dtype,
      };
    },
  };
}

function alongAxis<O extends 'Softmax' | 'LogSoftmax'>(): OpSpec<O> {
  return {
    arity: 1,
    infer: (inputs, { axis }, fail) => {
      const { shape, dtype } = first(inputs);
      if (!isFloat(dtype)) fail('an operand of dtype float32 or float64');
      checkAxis(axis, shape.length, fail);
      return { shape, dtype };
    },
  };
}

const NOT_TRANSPOSED = { transA: false, transB: false };

/** [m, k] · [k, n] over the leading dimensions, after transposing. */
function matrixProduct(
  [x, y]: Two,
  { transA, transB }: { readonly transA: boolean; readonly transB: boolean },
  fail: Fail,
): TensorType {
  if (x.dtype !== y.dtype || !isFloat(x.dtype)) fail('operands of one dtype, float32 or float64');
  if (x.shape.length < 2 || x.shape.length !== y.shape.length) fail('equal ranks of at least 2');
  const matrix = ({ shape }: Node, isTransposed: boolean): readonly [number, number] => {
    const [rows, columns] = shape.slice(-2) as [number, number];
    return isTransposed ? [columns, rows] : [rows, columns];
  };
  const [m, k] = matrix(x, transA);
  const [inner, n] = matrix(y, transB);
  if (k !== inner) fail('[…, m, k] · […, k, n], after transposing');
  const batch = broadcast([x.shape.slice(0, -2), y.shape.slice(0, -2)], fail);
  return { shape: [...batch, m, n], dtype: x.dtype };
}

const DATA_CLASS: Record<DType, new (...args: never[]) => TensorData> = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
};

/** Whether typed array and dtype belong together. */
export function isDataOf(dtype: DType, data: TensorData): boolean {
  return data instanceof DATA_CLASS[dtype];
}

const same: OpSpec<'Identity' | 'StopGradient'> = unary(() => true, 'any');

/** What each operator takes and gives. The builder applies it, and `verify` applies it again before a graph leaves. */
const OP_SPECS: { readonly [O in OpType]: OpSpec<O> } = {
  Input: {
    arity: 0,
    infer: (_, { shape, dtype }, fail) => {
      if (!isShape(shape)) fail('non-negative integer sizes');
      return { shape, dtype };
    },
  },
  Constant: {
    arity: 0,
    infer: (_, { shape, dtype, data }, fail) => {
      if (!isShape(shape)) fail('non-negative integer sizes');
      if (!isDataOf(dtype, data)) fail(`data of dtype ${dtype}, got ${data.constructor.name}`);
      if (data.length !== sizeOf(shape)) fail(`${sizeOf(shape)} values, got ${data.length}`);
      return { shape, dtype };
    },
  },
  ConstantOfShape: {
    arity: 0,
    infer: (_, { shape, dtype }, fail) => {
      if (!isShape(shape)) fail('non-negative integer sizes');
      return { shape, dtype };
    },
  },
  Identity: same,
  StopGradient: same,
  Neg: unary(...number),
  Abs: unary(...number),
  Sign: unary(...number),
  Exp: unary(...float),
  Log: unary(...float),
  Sqrt: unary(...float),
  Tanh: unary(...float),
  Erf: unary(...float),
  Sigmoid: unary(...float),
  Relu: unary(...float),
  Clip: {
    arity: 1,
    infer: (inputs, { min, max }, fail) => {
      const { shape, dtype } = first(inputs);
      if (!isFloat(dtype)) fail('an operand of dtype float32 or float64');
      if (!(min <= max)) fail(`min <= max, got ${min} and ${max}`);
      return { shape, dtype };
    },
  },
  Add: binary(...number),
  Sub: binary(...number),
  Mul: binary(...number),
  Div: binary(...number),
  Mod: binary((dtype) => dtype === 'int64', 'int64'),
  Max: binary(...number),
  Min: binary(...number),
  Equal: binary(() => true, 'any', 'bool'),
  Less: binary(...number, 'bool'),
  LessOrEqual: binary(...number, 'bool'),
  Greater: binary(...number, 'bool'),
  GreaterOrEqual: binary(...number, 'bool'),
  Not: unary(...bool),
  And: binary(...bool),
  Or: binary(...bool),
  IsNaN: unary(...float, 'bool'),
  IsInf: unary(...float, 'bool'),
  Where: {
    arity: 3,
    infer: (inputs, _, fail) => {
      const [condition, x, y] = inputs as unknown as Three;
      if (condition.dtype !== 'bool') fail('a bool condition');
      if (x.dtype !== y.dtype) fail('two values of one dtype');
      return { shape: broadcast([condition.shape, x.shape, y.shape], fail), dtype: x.dtype };
    },
  },
  Cast: { arity: 1, infer: (inputs, { to }) => ({ shape: first(inputs).shape, dtype: to }) },
  QuickGelu: {
    arity: 1,
    infer: (inputs, { alpha }, fail) => {
      const { shape, dtype } = first(inputs);
      if (dtype !== 'float32') fail('an operand of dtype float32');
      if (!Number.isFinite(alpha)) fail(`a finite alpha, got ${alpha}`);
      return { shape, dtype };
    },
  },
  MatMul: {
    arity: 2,
    infer: (inputs, _, fail) => matrixProduct(inputs as unknown as Two, NOT_TRANSPOSED, fail),
  },
  FusedMatMul: {
    arity: 2,
    infer: (inputs, { transA, transB, alpha }, fail) => {
      if (first(inputs).dtype !== 'float32') fail('operands of dtype float32');
      if (!Number.isFinite(alpha)) fail(`a finite alpha, got ${alpha}`);
      return matrixProduct(inputs as unknown as Two, { transA, transB }, fail);
    },
  },
  Gemm: {
    arity: [2, 3],
    infer: (inputs, { transA, transB }, fail) => {
      const [x, y, addend] = inputs as unknown as readonly [Node, Node, Node?];
      if (x.shape.length !== 2 || y.shape.length !== 2) fail('two matrices');
      const product = matrixProduct([x, y], { transA, transB }, fail);
      if (addend === undefined) return product;
      if (addend.dtype !== product.dtype) fail('an addend of the same dtype');
      if (!sameShape(broadcast([addend.shape, product.shape], fail), product.shape))
        fail(`an addend that stretches to [${product.shape.join(',')}]`);
      return product;
    },
  },
  RotaryEmbedding: {
    arity: 4,
    infer: (inputs, _, fail) => {
      const [x, positions, cos, sin] = inputs as unknown as readonly [Node, Node, Node, Node];
      if ([x, cos, sin].some(({ dtype }) => dtype !== 'float32')) fail('x, cos and sin of float32');
      const [batch, , length, size] = x.shape;
      if (x.shape.length !== 4 || (size as number) % 2 !== 0)
        fail('x of shape [batch, heads, length, size], with an even size');
      if (positions.dtype !== 'int64' || !sameShape(positions.shape, [batch, length] as Shape))
        fail('int64 positions of shape [batch, length]');
      if (cos.shape.length !== 2 || cos.shape[1] !== (size as number) / 2)
        fail('cos of shape [positions, size / 2]');
      if (!sameShape(cos.shape, sin.shape)) fail('cos and sin of one shape');
      return { shape: x.shape, dtype: x.dtype };
    },
  },
  Transpose: {
    arity: 1,
    infer: (inputs, { perm }, fail) => {
      const { shape, dtype } = first(inputs);
      const isPermutation =
        perm.length === shape.length &&
        new Set(perm).size === perm.length &&
        perm.every((p) => p in shape);
      if (!isPermutation) fail(`a permutation of ${shape.length} axes, got [${perm.join(',')}]`);
      return { shape: perm.map((p) => shape[p] as number), dtype };
    },
  },
  Reshape: {
    arity: 1,
    infer: (inputs, { shape }, fail) => {
      const x = first(inputs);
      if (!isShape(shape) || sizeOf(shape) !== sizeOf(x.shape)) {
        fail(`a shape of ${sizeOf(x.shape)} elements, got [${shape.join(',')}]`);
      }
      return { shape, dtype: x.dtype };
    },
  },
  Expand: {
    arity: 1,
    infer: (inputs, { shape }, fail) => {
      const x = first(inputs);
      if (!isShape(shape) || !sameShape(broadcast([x.shape, shape], fail), shape)) {
        fail(`a shape that only stretches sizes of 1, got [${shape.join(',')}]`);
      }
      return { shape, dtype: x.dtype };
    },
  },
  Concat: {
    arity: [1, Infinity],
    infer: (inputs, { axis }, fail) => {
      const { shape, dtype } = first(inputs);
      checkAxis(axis, shape.length, fail);
      for (const input of inputs) {
        if (input.dtype !== dtype) fail('operands of one dtype');
        const size = input.shape[axis] as number;
        if (!sameShape(input.shape, withSize(shape, axis, size)))
          fail(`equal sizes but in axis ${axis}`);
      }
      const total = inputs.reduce((sum, input) => sum + (input.shape[axis] as number), 0);
      return { shape: withSize(shape, axis, total), dtype };
    },
  },
  Slice: {
    arity: 1,
    infer: (inputs, { axis, start, end }, fail) => {
      const { shape, dtype } = first(inputs);
      checkAxis(axis, shape.length, fail);
      const size = shape[axis] as number;
      const isRange =
        Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end;
      if (!isRange || end > size) fail(`0 <= start <= end <= ${size}, got [${start}, ${end})`);
      return { shape: withSize(shape, axis, end - start), dtype };
    },
  },
  Pad: {
    arity: 1,
    infer: (inputs, { axis, before, after }, fail) => {
      const { shape, dtype } = first(inputs);
      checkAxis(axis, shape.length, fail);
      if (!isFloat(dtype)) fail('an operand of dtype float32 or float64');
      if (!isShape([before, after])) fail(`non-negative padding, got ${before} and ${after}`);
      return { shape: withSize(shape, axis, before + (shape[axis] as number) + after), dtype };
    },
  },
  ReduceSum: reduction(),
  ReduceSumSquare: reduction(),
  ReduceMean: reduction(),
  ReduceMax: reduction(),
  Softmax: alongAxis(),
  LogSoftmax: alongAxis(),
  Gather: {
    arity: 2,
    infer: (inputs, _, fail) => {
      const [data, indices] = inputs as unknown as Two;
      if (indices.dtype !== 'int64') fail('int64 indices');
      if (data.shape.length === 0) fail('data of rank at least 1');
      return { shape: [...indices.shape, ...data.shape.slice(1)], dtype: data.dtype };
    },
  },
  GatherElements: {
    arity: 2,
    infer: (inputs, { axis }, fail) => {
      const [data, indices] = inputs as unknown as Two;
      checkAxis(axis, data.shape.length, fail);
      if (indices.dtype !== 'int64') fail('int64 indices');
      const size = data.shape[axis] as number;
      if (!sameShape(withSize(indices.shape, axis, size), data.shape))
        fail(`equal sizes but in axis ${axis}`);
      return { shape: indices.shape, dtype: data.dtype };
    },
  },
  ScatterElements: {
    arity: 3,
    infer: (inputs, { axis }, fail) => {
      const [data, indices, updates] = inputs as unknown as Three;
      checkAxis(axis, data.shape.length, fail);
      if (indices.dtype !== 'int64') fail('int64 indices');
      if (data.dtype !== updates.dtype) fail('data and updates of one dtype');
      if (!sameShape(indices.shape, updates.shape)) fail('one index per update');
      const size = data.shape[axis] as number;
      if (!sameShape(withSize(indices.shape, axis, size), data.shape))
        fail(`equal sizes but in axis ${axis}`);
      return { shape: data.shape, dtype: data.dtype };
    },
  },
  ScatterND: {
    arity: 3,
    infer: (inputs, _, fail) => {
      const [data, indices, updates] = inputs as unknown as Three;
      if (indices.dtype !== 'int64') fail('int64 indices');
      if (data.dtype !== updates.dtype) fail('data and updates of one dtype');
      const depth = indices.shape.at(-1) ?? 0;
      const expected = [...indices.shape.slice(0, -1), ...data.shape.slice(depth)];
      if (depth < 1 || depth > data.shape.length || !sameShape(updates.shape, expected)) {
        fail('indices […, k] and updates […, data.shape[k:]]');
      }
      return { shape: data.shape, dtype: data.dtype };
    },
  },
};

/** Whether a string names an operator of the IR. */
export function isOpType(op: string): op is OpType {
  return Object.hasOwn(OP_SPECS, op);
}

/**
 * The type of `op` applied to `inputs`.
 *
 * @param name of the node, for the message only.
 * @throws {ShapeError} naming node, what was expected, and the types of all inputs.
 */
export function inferType<O extends OpType>(
  op: O,
  name: string,
  inputs: readonly Node[],
  attributes: OpAttributes[O],
): TensorType {
  const { arity, infer }: OpSpec<O> = OP_SPECS[op];
  const fail: Fail = (expected) => {
    const got = inputs.map((input) => `${input.name}: ${formatType(input)}`).join('; ');
    throw new ShapeError(`${op} expected ${expected}; inputs (${got})`, {
      context: { node: name },
    });
  };
  const [from, to] = typeof arity === 'number' ? [arity, arity] : arity;
  if (inputs.length < from || inputs.length > to) {
    const expected = from === to ? from : to === Infinity ? `at least ${from}` : `${from} to ${to}`;
    fail(`${expected} inputs, got ${inputs.length}`);
  }
  return infer(inputs, attributes, fail);
}

import type { Graph, Node, NodeOf, Shape } from '../../src/autodiff/graph';
import { sizeOf } from '../../src/autodiff/graph';

/**
 * The meaning of every operator, written for clarity: loops over index vectors, everything in float64 (whatever the dtype of
 * the node), one rule per operator, no code shared with what it judges.
 */
export type Values = Float64Array;

export function evaluate(
  graph: Graph,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
): Map<string, Values> {
  const values = new Map<Node, Values>();
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((input) => values.get(input) as Values);
    values.set(node, compute(node, inputs, feeds));
  }
  return new Map([...graph.outputs].map(([name, node]) => [name, values.get(node) as Values]));
}

/** All index vectors of a shape, in row-major order. */
function* indicesOf(shape: Shape): Generator<number[]> {
  const size = sizeOf(shape);
  for (let flat = 0; flat < size; flat += 1) {
    const index: number[] = [];
    let rest = flat;
    for (const dimension of shape.toReversed()) {
      index.unshift(rest % dimension);
      rest = Math.floor(rest / dimension);
    }
    yield index;
  }
}

function flatten(index: readonly number[], shape: Shape): number {
  return index.reduce((flat, i, axis) => flat * (shape[axis] as number) + i, 0);
}

/** The element of a broadcast operand that belongs to an index of the result. */
function at(values: Values, shape: Shape, index: readonly number[]): number {
  const own = shape.map((size, axis) => (size === 1 ? 0 : (index[axis] as number)));
  return values[flatten(own, shape)] as number;
}

function fill(shape: Shape, valueAt: (index: number[]) => number): Values {
  const out = new Float64Array(sizeOf(shape));
  for (const index of indicesOf(shape)) out[flatten(index, shape)] = valueAt(index);
  return out;
}

const replaced = (index: readonly number[], axis: number, value: number): number[] =>
  index.map((old, i) => (i === axis ? value : old));

/** erf to about 1e-15: Taylor series near 0, Lentz' continued fraction of erfc far out. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18; n += 1) {
      term *= -(x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 60; n >= 1; n -= 1) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

const UNARY: Partial<Record<Node['op'], (x: number) => number>> = {
  Identity: (x) => x,
  StopGradient: (x) => x,
  Neg: (x) => -x,
  Abs: Math.abs,
  Sign: Math.sign,
  Exp: Math.exp,
  Log: Math.log,
  Sqrt: Math.sqrt,
  Tanh: Math.tanh,
  Erf: erf,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Relu: (x) => (x > 0 ? x : 0),
  Not: (x) => (x === 0 ? 1 : 0),
  IsNaN: (x) => (Number.isNaN(x) ? 1 : 0),
  IsInf: (x) => (Math.abs(x) === Infinity ? 1 : 0),
};

const BINARY: Partial<Record<Node['op'], (x: number, y: number) => number>> = {
  Add: (x, y) => x + y,
  Sub: (x, y) => x - y,
  Mul: (x, y) => x * y,
  Div: (x, y) => x / y,
  Mod: (x, y) => x - y * Math.floor(x / y),
  Max: Math.max,
  Min: Math.min,
  Equal: (x, y) => Number(x === y),
  Less: (x, y) => Number(x < y),
  LessOrEqual: (x, y) => Number(x <= y),
  Greater: (x, y) => Number(x > y),
  GreaterOrEqual: (x, y) => Number(x >= y),
  And: (x, y) => x * y,
  Or: (x, y) => Math.max(x, y),
};

function compute(
  node: Node,
  inputs: readonly Values[],
  feeds: Readonly<Record<string, ArrayLike<number>>>,
): Values {
  const [x, y, z] = inputs as [Values, Values, Values];
  const [xs, ys, zs] = node.inputs.map(({ shape }) => shape) as [Shape, Shape, Shape];
  const { shape } = node;

  const unary = UNARY[node.op];
  if (unary !== undefined) return x.map(unary);
  const binary = BINARY[node.op];
  if (binary !== undefined) return fill(shape, (i) => binary(at(x, xs, i), at(y, ys, i)));

  switch (node.op) {
    case 'Input': {
      const fed = feeds[node.name];
      if (fed === undefined) throw new Error(`no feed for ${node.name}`);
      return Float64Array.from(fed);
    }
    case 'Constant':
      return Float64Array.from(node.attributes.data as ArrayLike<number | bigint>, Number);
    case 'ConstantOfShape':
      return fill(shape, () => node.attributes.value);
    case 'Clip':
      return x.map((value) => Math.min(Math.max(value, node.attributes.min), node.attributes.max));
    case 'Cast':
      return x.map((value) =>
        node.dtype === 'int64'
          ? Math.trunc(value)
          : node.dtype === 'bool'
            ? Number(value !== 0)
            : value,
      );
    case 'Where':
      return fill(shape, (i) => (at(x, xs, i) !== 0 ? at(y, ys, i) : at(z, zs, i)));
    case 'MatMul':
      return fill(shape, (index) => {
        const [batch, [row, column]] = [index.slice(0, -2), index.slice(-2) as [number, number]];
        let sum = 0;
        for (let k = 0; k < (xs.at(-1) as number); k += 1) {
          sum += at(x, xs, [...batch, row, k]) * at(y, ys, [...batch, k, column]);
        }
        return sum;
      });
    case 'Gemm': {
      const { transA, transB } = node.attributes;
      const addend = (index: readonly number[]): number =>
        node.inputs.length < 3 ? 0 : at(z, zs, index);
      const inner = (transA ? xs[0] : xs[1]) as number;
      return fill(shape, (index) => {
        const [row, column] = index;
        let sum = addend(index);
        for (let k = 0; k < inner; k += 1) {
          const left = transA ? [k, row as number] : [row as number, k];
          const right = transB ? [column as number, k] : [k, column as number];
          sum += (x[flatten(left, xs)] as number) * (y[flatten(right, ys)] as number);
        }
        return sum;
      });
    }
    case 'Transpose': {
      const { perm } = node.attributes;
      return fill(shape, (index) => {
        const source: number[] = [];
        perm.forEach((axis, i) => (source[axis] = index[i] as number));
        return x[flatten(source, xs)] as number;
      });
    }
    case 'Reshape':
      return x.slice();
    case 'Expand':
      return fill(shape, (index) => at(x, xs, index));
    case 'Concat': {
      const { axis } = node.attributes;
      return fill(shape, (index) => {
        let offset = index[axis] as number;
        for (const [i, input] of node.inputs.entries()) {
          const size = input.shape[axis] as number;
          if (offset < size)
            return (inputs[i] as Values)[
              flatten(replaced(index, axis, offset), input.shape)
            ] as number;
          offset -= size;
        }
        throw new Error('unreachable: the sizes add up');
      });
    }
    case 'Slice': {
      const { axis, start } = node.attributes;
      return fill(
        shape,
        (index) => x[flatten(replaced(index, axis, (index[axis] as number) + start), xs)] as number,
      );
    }
    case 'Pad': {
      const { axis, before } = node.attributes;
      return fill(shape, (index) => {
        const source = (index[axis] as number) - before;
        return source < 0 || source >= (xs[axis] as number)
          ? 0
          : (x[flatten(replaced(index, axis, source), xs)] as number);
      });
    }
    case 'ReduceSum':
      return reduce(node, x, (values) => values.reduce((a, b) => a + b, 0));
    case 'ReduceSumSquare':
      return reduce(node, x, (values) => values.reduce((a, b) => a + b * b, 0));
    case 'ReduceMean':
      return reduce(node, x, (values) => values.reduce((a, b) => a + b, 0) / values.length);
    case 'ReduceMax':
      return reduce(node, x, (values) => Math.max(...values));
    case 'Softmax':
    case 'LogSoftmax': {
      const { axis } = node.attributes;
      return fill(shape, (index) => {
        const line = [...Array(shape[axis]).keys()].map(
          (k) => x[flatten(replaced(index, axis, k), xs)] as number,
        );
        const max = Math.max(...line);
        const logSum = Math.log(line.reduce((sum, value) => sum + Math.exp(value - max), 0)) + max;
        const log = (x[flatten(index, xs)] as number) - logSum;
        return node.op === 'Softmax' ? Math.exp(log) : log;
      });
    }
    case 'Gather':
      return fill(shape, (index) => {
        const row = y[flatten(index.slice(0, ys.length), ys)] as number;
        return x[flatten([row, ...index.slice(ys.length)], xs)] as number;
      });
    case 'GatherElements': {
      const { axis } = node.attributes;
      return fill(
        shape,
        (index) => x[flatten(replaced(index, axis, y[flatten(index, ys)] as number), xs)] as number,
      );
    }
    case 'ScatterElements': {
      const { axis, reduction } = node.attributes;
      const out = x.slice();
      for (const index of indicesOf(ys)) {
        const target = flatten(replaced(index, axis, y[flatten(index, ys)] as number), xs);
        const update = z[flatten(index, ys)] as number;
        out[target] = reduction === 'add' ? (out[target] as number) + update : update;
      }
      return out;
    }
    case 'ScatterND': {
      const out = x.slice();
      const depth = ys.at(-1) as number;
      for (const index of indicesOf(zs)) {
        const lead = index.slice(0, ys.length - 1);
        const start = [...Array(depth).keys()].map((k) => y[flatten([...lead, k], ys)] as number);
        out[flatten([...start, ...index.slice(ys.length - 1)], xs)] = z[
          flatten(index, zs)
        ] as number;
      }
      return out;
    }
    default:
      throw new Error(`the reference has no rule for ${node.op}`);
  }
}

function reduce(
  node: NodeOf<'ReduceSum' | 'ReduceSumSquare' | 'ReduceMean' | 'ReduceMax'>,
  x: Values,
  of: (values: number[]) => number,
): Values {
  const { axes, keepdims } = node.attributes;
  const xs = (node.inputs[0] as Node).shape;
  const kept = xs.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const groups = new Map<number, number[]>();
  for (const index of indicesOf(xs)) {
    const group = flatten(
      index.map((i, axis) => (axes.includes(axis) ? 0 : i)),
      kept,
    );
    groups.set(group, [...(groups.get(group) ?? []), x[flatten(index, xs)] as number]);
  }
  if (!keepdims && sizeOf(kept) !== sizeOf(node.shape))
    throw new Error('a reduction changed its size');
  return Float64Array.from({ length: sizeOf(kept) }, (_, i) => of(groups.get(i) ?? []));
}

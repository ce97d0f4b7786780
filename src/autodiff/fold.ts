import type { DType, Graph, Node, NodeOf, Shape, TensorData } from './graph';
import { sizeOf } from './graph';
import { GraphBuilder } from './graph-builder';

/** A constant that is larger is not worth its bytes in the model, unless what it is made of was as large. */
const LARGEST = 65_536;

/**
 * The same graph, to the bit, with what is known beforehand in it: operators whose operands are all constants become constants, and operators that
 * change nothing go. Names stay. What is computed here is exactly what IEEE 754 says it has to be (sums, products, quotients, roots, comparisons, and whatever
 * only moves values), never an exp or a log, of which each library has its own last digit.
 *
 * x + 0 stays: it makes 0 of −0. So does ONNX Runtime's Where, which adds its two branches, so that stays as well.
 */
export function fold(graph: Graph): Graph {
  const b = new GraphBuilder();
  const folded = new Map<Node, Node>();
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((input) => folded.get(input) as Node);
    folded.set(
      node,
      withoutEffect(node, inputs) ?? computed(b, node, inputs) ?? copied(b, node, inputs),
    );
  }
  const outputs = [...graph.outputs].map(
    ([name, node]) => [name, folded.get(node) as Node] as const,
  );
  return b.build(Object.fromEntries(outputs));
}

function copied(b: GraphBuilder, node: Node, inputs: readonly Node[]): Node {
  return b.append(node.op, inputs, node.attributes, node.name);
}

/** @returns what a node that changes nothing is the same as. */
function withoutEffect(node: Node, inputs: readonly Node[]): Node | null {
  const [x, y] = inputs;
  if (x === undefined) return null;
  const isSame = x.shape.join() === node.shape.join() && x.dtype === node.dtype;
  switch (node.op) {
    case 'Reshape':
    case 'Expand':
      return isSame ? x : null;
    case 'Cast':
      return isSame ? x : null;
    case 'Transpose':
      return node.attributes.perm.every((from, to) => from === to) ? x : null;
    case 'Slice':
      return isSame ? x : null;
    case 'Mul':
    case 'Div':
      return isSame && y !== undefined && isAll(y, 1) ? x : null;
    default:
      return null;
  }
}

function isAll(node: Node, value: number): boolean {
  const data = dataOf(node);
  return data !== null && data.length > 0 && data.every((one) => Number(one) === value);
}

/** The values of a constant; null for everything else. */
function dataOf(node: Node): TensorData | null {
  if (node.op === 'Constant') return node.attributes.data;
  if (node.op !== 'ConstantOfShape' || sizeOf(node.shape) > LARGEST) return null;
  return filled(node.dtype, sizeOf(node.shape), () => node.attributes.value);
}

/** @returns a constant, if all operands are and the operator is one of those that are computed here. */
function computed(b: GraphBuilder, node: Node, inputs: readonly Node[]): Node | null {
  if (inputs.length === 0) return null;
  const operands = inputs.map(dataOf);
  if (operands.some((data) => data === null)) return null;
  const given = Math.max(...inputs.map(({ shape }) => sizeOf(shape)));
  if (sizeOf(node.shape) > Math.max(LARGEST, given)) return null;
  const value = valueOf(node, inputs, operands as TensorData[]);
  if (value === null) return null;
  return b.constant(
    filled(node.dtype, sizeOf(node.shape), value),
    node.shape,
    node.dtype,
    node.name,
  );
}

/** The value at each place of the result, row-major; null for an operator that is not computed here. */
type Values = (at: number) => number | bigint;

function valueOf(
  node: Node,
  inputs: readonly Node[],
  operands: readonly TensorData[],
): Values | null {
  const [x, y] = operands as readonly [TensorData, TensorData];
  const [xShape, yShape] = inputs.map(({ shape }) => shape) as [Shape, Shape];
  const at = (data: TensorData, i: number): number | bigint => data[i] as number | bigint;
  const unary = UNARY[node.op];
  if (unary !== undefined) return (i) => unary(at(x, i) as never);
  const binary = BINARY[node.op];
  if (binary !== undefined) {
    const [ofX, ofY] = [stretched(xShape, node.shape), stretched(yShape, node.shape)];
    return (i) => binary(at(x, ofX(i)) as never, at(y, ofY(i)) as never);
  }
  switch (node.op) {
    case 'Identity':
    case 'Reshape':
      return (i) => at(x, i);
    case 'Expand': {
      const ofX = stretched(xShape, node.shape);
      return (i) => at(x, ofX(i));
    }
    case 'Cast':
      return isExactCast(inputs[0]?.dtype as DType, node.dtype) ? (i) => at(x, i) : null;
    case 'Transpose':
      return (i) => at(x, transposed(node, xShape, i));
    default:
      return null;
  }
}

const UNARY: Partial<Record<string, (x: never) => number | bigint>> = {
  Neg: (x: number) => -x,
  Abs: (x: number | bigint) => (x < 0 || Object.is(x, -0) ? -x : x),
  Sqrt: (x: number) => Math.sqrt(x),
  Not: (x: number) => 1 - x,
};

const BINARY: Partial<Record<string, (x: never, y: never) => number | bigint>> = {
  Add: (x: number, y: number) => x + y,
  Sub: (x: number, y: number) => x - y,
  Mul: (x: number, y: number) => x * y,
  // An integer over 0 has no value that both sides agree on, so integers are left alone.
  Equal: (x: number, y: number) => Number(x === y),
  Less: (x: number, y: number) => Number(x < y),
  LessOrEqual: (x: number, y: number) => Number(x <= y),
  Greater: (x: number, y: number) => Number(x > y),
  GreaterOrEqual: (x: number, y: number) => Number(x >= y),
  And: (x: number, y: number) => x & y,
  Or: (x: number, y: number) => x | y,
};

/** From a place in the result to one in an operand. */
type Place = (at: number) => number;

/** Where sizes of 1 are stretched, and a scalar is. */
function stretched(from: Shape, to: Shape): Place {
  if (from.length === 0) return () => 0;
  if (from.join() === to.join()) return (i) => i;
  const strides = stridesOf(from).map((stride, axis) => (from[axis] === 1 ? 0 : stride));
  return (i) => offsetOf(i, to, strides);
}

function transposed({ attributes, shape }: NodeOf<'Transpose'>, from: Shape, at: number): number {
  const strides = stridesOf(from);
  return offsetOf(
    at,
    shape,
    attributes.perm.map((axis) => strides[axis] as number),
  );
}

function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = (strides[axis + 1] as number) * (shape[axis + 1] as number);
  }
  return strides;
}

function offsetOf(at: number, shape: Shape, strides: readonly number[]): number {
  let rest = at;
  let offset = 0;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    offset += (rest % size) * (strides[axis] as number);
    rest = Math.floor(rest / size);
  }
  return offset;
}

/** Whether each value of one dtype is one of the other, or rounds to it as IEEE 754 says. */
function isExactCast(from: DType, to: DType): boolean {
  const isFloat = (dtype: DType): boolean => dtype === 'float32' || dtype === 'float64';
  return (isFloat(from) && isFloat(to)) || (from === 'bool' && isFloat(to));
}

/** Typed arrays round to their own precision; sums, products and roots of float32 are exact enough in float64 that this is the right one. */
function filled(dtype: DType, size: number, value: Values): TensorData {
  const fill = <T extends Float32Array | Float64Array | Uint8Array>(data: T): T => {
    for (let i = 0; i < size; i++) data[i] = Number(value(i));
    return data;
  };
  switch (dtype) {
    case 'float32':
      return fill(new Float32Array(size));
    case 'float64':
      return fill(new Float64Array(size));
    case 'bool':
      return fill(new Uint8Array(size));
    case 'int64':
      return BigInt64Array.from({ length: size }, (_, i) => BigInt(value(i)));
  }
}

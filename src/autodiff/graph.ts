/**
 * The graph IR: immutable nodes that hold their inputs by reference, each with a static shape and dtype. Its operators are
 * those of ONNX opset 20, and some that ONNX Runtime adds (their domain is com.microsoft), except that whatever ONNX passes as
 * a constant tensor (axes, target shapes, slice bounds) is an attribute here, so a graph's shapes are known without running it.
 */
export type DType = 'float32' | 'float64' | 'int64' | 'bool';

/** Sizes from the outermost dimension inwards; `[]` is a scalar. Every size is known and >= 0. */
export type Shape = readonly number[];

/** The values of a tensor, row-major. A bool is one byte, 0 or 1. */
export type TensorData = Float32Array | Float64Array | BigInt64Array | Uint8Array;

export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

export type NoAttributes = Readonly<Record<never, never>>;
interface Reduction {
  /** Ascending, each in [0, rank). */
  readonly axes: readonly number[];
  /** Whether reduced dimensions stay, with size 1. */
  readonly keepdims: boolean;
}
interface Transposes {
  readonly transA: boolean;
  readonly transB: boolean;
}
interface Axis {
  readonly axis: number;
}

/** Every operator with its attributes. Axes are never negative here; the builder resolves negative ones. */
export interface OpAttributes {
  Input: TensorType;
  Constant: TensorType & { readonly data: TensorData };
  ConstantOfShape: TensorType & { readonly value: number };
  Identity: NoAttributes;
  /** Identity whose cotangent is dropped; ONNX sees an Identity. */
  StopGradient: NoAttributes;
  Neg: NoAttributes;
  Abs: NoAttributes;
  Sign: NoAttributes;
  Exp: NoAttributes;
  Log: NoAttributes;
  Sqrt: NoAttributes;
  Tanh: NoAttributes;
  Erf: NoAttributes;
  Sigmoid: NoAttributes;
  Relu: NoAttributes;
  Clip: { readonly min: number; readonly max: number };
  Add: NoAttributes;
  Sub: NoAttributes;
  Mul: NoAttributes;
  Div: NoAttributes;
  /** What is left of a division of integers; of the divisor's sign. */
  Mod: NoAttributes;
  Max: NoAttributes;
  Min: NoAttributes;
  Equal: NoAttributes;
  Less: NoAttributes;
  LessOrEqual: NoAttributes;
  Greater: NoAttributes;
  GreaterOrEqual: NoAttributes;
  Not: NoAttributes;
  And: NoAttributes;
  Or: NoAttributes;
  IsNaN: NoAttributes;
  IsInf: NoAttributes;
  Where: NoAttributes;
  Cast: { readonly to: DType };
  /** x · σ(alpha · x), in one pass; of ONNX Runtime. With alpha 1 it is SiLU. */
  QuickGelu: { readonly alpha: number };
  MatMul: NoAttributes;
  /** With a third operand: added to the product, stretched to its shape. */
  Gemm: Transposes;
  /** alpha · op(x) · op(y) of stacks of matrices, where op swaps the last two axes if told to; of ONNX Runtime. */
  FusedMatMul: Transposes & { readonly alpha: number };
  /** Of ONNX Runtime; see runtime-operators.ts. */
  RotaryEmbedding: NoAttributes;
  Transpose: { readonly perm: readonly number[] };
  Reshape: { readonly shape: Shape };
  Expand: { readonly shape: Shape };
  Concat: Axis;
  /** Elements [start, end) of one axis. */
  Slice: Axis & { readonly start: number; readonly end: number };
  /** Zeros before and after one axis. */
  Pad: Axis & { readonly before: number; readonly after: number };
  ReduceSum: Reduction;
  ReduceSumSquare: Reduction;
  ReduceMean: Reduction;
  ReduceMax: Reduction;
  Softmax: Axis;
  LogSoftmax: Axis;
  /** Rows of axis 0. */
  Gather: NoAttributes;
  GatherElements: Axis;
  ScatterElements: Axis & { readonly reduction: 'none' | 'add' };
  ScatterND: { readonly reduction: 'none' | 'add' };
}

export type OpType = keyof OpAttributes;

export interface NodeOf<O extends OpType> extends TensorType {
  /** Position in the builder that made it: inputs have smaller ones. */
  readonly index: number;
  /** Unique in its graph. An input's name is the name it is fed by. */
  readonly name: string;
  readonly op: O;
  readonly inputs: readonly Node[];
  readonly attributes: OpAttributes[O];
}

/** A value of the graph; narrows to its attributes by `op`. */
export type Node = { [O in OpType]: NodeOf<O> }[OpType];

/** A finished graph. Inputs are all part of it, also those that no output needs: they are its interface. */
export interface Graph {
  /** In topological order. */
  readonly nodes: readonly Node[];
  readonly outputs: ReadonlyMap<string, Node>;
}

export function graphInputs(graph: Graph): NodeOf<'Input'>[] {
  return graph.nodes.filter((node) => node.op === 'Input');
}

export function isFloat(dtype: DType): dtype is 'float32' | 'float64' {
  return dtype === 'float32' || dtype === 'float64';
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** For messages and print-outs: `float32[2,3]`. */
export function formatType({ shape, dtype }: TensorType): string {
  return `${dtype}[${shape.join(',')}]`;
}

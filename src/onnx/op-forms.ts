import type { NoAttributes, Node, NodeOf, OpAttributes, OpType, Shape } from '../autodiff/graph';
import type { AttributeProto } from './onnx-proto';
import { ATTRIBUTE_TYPE, DATA_TYPE } from './onnx-proto';
import { dtypeFromOnnx, fromTensorProto, toTensorProto } from './tensor-proto';

/** An attribute of ours that ONNX takes as a constant input behind the operands; null: an optional one left out. */
export type ConstantInput =
  | { readonly int64: readonly number[] }
  /** Of rank 0, in the dtype of the node. */
  | { readonly scalar: number }
  | null;

/** What a node in a model offers to whoever reads its attributes. Whatever is not asked for is refused. */
export interface NodeReader {
  readonly inputs: readonly Node[];
  int(name: string, otherwise: number): number;
  float(name: string, otherwise: number): number;
  ints(name: string): readonly number[];
  string(name: string, otherwise: string): string;
  attribute(name: string): AttributeProto | undefined;
  /** The values of constant input `position`, counted behind the operands; undefined if it was left out. */
  constant(position: number): readonly number[] | undefined;
  /** Refuses what ONNX can say and the IR cannot. */
  refuse(what: string): never;
}

/** Marks an Identity that was a StopGradient, in its doc string. */
export const STOP_GRADIENT = 'StopGradient';

/** What a NodeProto holds besides its operands. */
interface WrittenForm {
  readonly attributes?: readonly AttributeProto[];
  readonly constants?: readonly ConstantInput[];
  /** ONNX's name of the operator, where it is not ours. */
  readonly opType?: string;
  readonly docString?: string;
}

/** How one operator is written in ONNX opset 20, and read back. */
interface OpForm<O extends OpType> {
  readonly write: (node: NodeOf<O>) => WrittenForm;
  readonly read: (reader: NodeReader) => OpAttributes[O];
}

const int = (name: string, i: number): AttributeProto => ({ name, type: ATTRIBUTE_TYPE.int, i });
const ints = (name: string, values: readonly number[]): AttributeProto => ({
  name,
  type: ATTRIBUTE_TYPE.ints,
  ints: values,
});
const float = (name: string, f: number): AttributeProto => ({
  name,
  type: ATTRIBUTE_TYPE.float,
  f,
});
const string = (name: string, s: string): AttributeProto => ({
  name,
  type: ATTRIBUTE_TYPE.string,
  s: Buffer.from(s),
});

/** Without attributes and under its own name. */
const plain = { write: (): WrittenForm => ({}), read: (): NoAttributes => ({}) };

const axisForm = <O extends 'Softmax' | 'LogSoftmax' | 'Concat' | 'GatherElements'>(
  otherwise: number,
): OpForm<O> => ({
  write: ({ attributes }) => ({ attributes: [int('axis', attributes.axis)] }),
  read: (reader) => ({ axis: axisOf(reader, reader.int('axis', otherwise)) }),
});

const reduceForm = <
  O extends 'ReduceSum' | 'ReduceSumSquare' | 'ReduceMean' | 'ReduceMax',
>(): OpForm<O> => ({
  write: ({ attributes: { axes, keepdims } }) => ({
    attributes: [int('keepdims', keepdims ? 1 : 0)],
    constants: [{ int64: axes }],
  }),
  read: (reader) => {
    const axes = reader.constant(0) ?? reader.refuse('a reduction without axes');
    return {
      axes: axes.map((axis) => axisOf(reader, axis)).sort((a, b) => a - b),
      keepdims: reader.int('keepdims', 1) === 1,
    };
  },
});

const shapeForm = <O extends 'Reshape' | 'Expand'>(): OpForm<O> => ({
  write: ({ attributes }) => ({ constants: [{ int64: attributes.shape }] }),
  read: (reader) => ({ shape: reader.constant(0) ?? reader.refuse('a shape that is computed') }),
});

const scatterReduction = (reader: NodeReader): 'none' | 'add' => {
  const reduction = reader.string('reduction', 'none');
  return reduction === 'none' || reduction === 'add'
    ? reduction
    : reader.refuse(`reduction '${reduction}'`);
};

/** Graph inputs and initializers are no nodes in ONNX. */
export type Computed = Exclude<OpType, 'Input' | 'Constant'>;

/** The operators that ONNX Runtime adds to ONNX: github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md */
export const CONTRIB_DOMAIN = 'com.microsoft';
const CONTRIB_OPS: readonly OpType[] = ['QuickGelu', 'FusedMatMul', 'RotaryEmbedding'];

/** As ONNX spells it: '' is its own. */
export function domainOf(op: OpType): '' | typeof CONTRIB_DOMAIN {
  return CONTRIB_OPS.includes(op) ? CONTRIB_DOMAIN : '';
}

export const OP_FORMS: { readonly [O in Computed]: OpForm<O> } = {
  ConstantOfShape: {
    write: ({ dtype, attributes: { shape, value } }) => ({
      attributes: [
        { name: 'value', type: ATTRIBUTE_TYPE.tensor, t: toTensorProto(dtype, [1], [value]) },
      ],
      constants: [{ int64: shape }],
    }),
    read: (reader) => {
      const shape = reader.constant(0) ?? reader.refuse('a shape that is computed');
      const tensor = reader.attribute('value')?.t;
      if (tensor === undefined) return { shape, dtype: 'float32', value: 0 }; // ONNX's default
      const { dtype, data } = fromTensorProto(tensor);
      return { shape, dtype, value: Number(data[0] ?? 0) };
    },
  },
  Identity: plain,
  StopGradient: {
    write: () => ({ opType: 'Identity', docString: STOP_GRADIENT }),
    read: () => ({}),
  },
  Neg: plain,
  Abs: plain,
  Sign: plain,
  Exp: plain,
  Log: plain,
  Sqrt: plain,
  Tanh: plain,
  Erf: plain,
  Sigmoid: plain,
  Relu: plain,
  Clip: {
    write: ({ attributes: { min, max } }) => ({ constants: [{ scalar: min }, { scalar: max }] }),
    read: (reader) => ({
      min: reader.constant(0)?.[0] ?? -Infinity,
      max: reader.constant(1)?.[0] ?? Infinity,
    }),
  },
  Add: plain,
  Sub: plain,
  Mul: plain,
  Div: plain,
  Mod: plain,
  Max: plain,
  Min: plain,
  Equal: plain,
  Less: plain,
  LessOrEqual: plain,
  Greater: plain,
  GreaterOrEqual: plain,
  Not: plain,
  And: plain,
  Or: plain,
  IsNaN: plain,
  IsInf: plain,
  Where: plain,
  Cast: {
    write: ({ attributes }) => ({ attributes: [int('to', DATA_TYPE[attributes.to])] }),
    read: (reader) => ({ to: dtypeFromOnnx(reader.int('to', 0)) }),
  },
  MatMul: plain,
  QuickGelu: {
    write: ({ attributes: { alpha } }) => ({ attributes: [float('alpha', alpha)] }),
    read: (reader) => ({ alpha: reader.float('alpha', Math.fround(1.702)) }),
  },
  FusedMatMul: {
    write: ({ attributes: { transA, transB, alpha } }) => ({
      attributes: [
        float('alpha', alpha),
        int('transA', transA ? 1 : 0),
        int('transB', transB ? 1 : 0),
      ],
    }),
    read: (reader) => ({
      alpha: reader.float('alpha', 1),
      transA: reader.int('transA', 0) === 1,
      transB: reader.int('transB', 0) === 1,
    }),
  },
  RotaryEmbedding: plain,
  Gemm: {
    write: ({ attributes: { transA, transB } }) => ({
      attributes: [int('transA', transA ? 1 : 0), int('transB', transB ? 1 : 0)],
    }),
    read: (reader) => ({
      transA: reader.int('transA', 0) === 1,
      transB: reader.int('transB', 0) === 1,
    }),
  },
  Transpose: {
    write: ({ attributes }) => ({ attributes: [ints('perm', attributes.perm)] }),
    read: (reader) => ({ perm: reader.ints('perm') }),
  },
  Reshape: shapeForm(),
  Expand: shapeForm(),
  Concat: axisForm(0),
  Slice: {
    write: ({ attributes: { axis, start, end } }) => ({
      constants: [{ int64: [start] }, { int64: [end] }, { int64: [axis] }],
    }),
    read: (reader) => {
      const [starts, ends, axes] = [0, 1, 2].map((i) => reader.constant(i));
      if (starts?.length !== 1 || ends?.length !== 1 || axes?.length !== 1)
        reader.refuse('a slice of several axes');
      const [start, end, axis] = [starts, ends, axes].map((values) => values?.[0] as number) as [
        number,
        number,
        number,
      ];
      return { axis: axisOf(reader, axis), start, end };
    },
  },
  Pad: {
    write: ({ attributes: { axis, before, after } }) => ({
      constants: [{ int64: [before, after] }, null, { int64: [axis] }],
    }),
    read: (reader) => {
      const pads = reader.constant(0);
      const axes = reader.constant(2);
      if (pads?.length !== 2 || axes?.length !== 1 || reader.constant(1) !== undefined) {
        reader.refuse('padding of several axes, or by anything but zeros');
      }
      if (reader.string('mode', 'constant') !== 'constant') reader.refuse('a padding mode');
      return {
        axis: axisOf(reader, axes?.[0] as number),
        before: pads?.[0] as number,
        after: pads?.[1] as number,
      };
    },
  },
  ReduceSum: reduceForm(),
  ReduceSumSquare: reduceForm(),
  ReduceMean: reduceForm(),
  ReduceMax: reduceForm(),
  Softmax: axisForm(-1),
  LogSoftmax: axisForm(-1),
  Gather: {
    write: () => ({ attributes: [int('axis', 0)] }),
    read: (reader) =>
      reader.int('axis', 0) === 0 ? {} : reader.refuse('Gather along any axis but 0'),
  },
  GatherElements: axisForm(0),
  ScatterElements: {
    write: ({ attributes: { axis, reduction } }) => ({
      attributes: [int('axis', axis), string('reduction', reduction)],
    }),
    read: (reader) => ({
      axis: axisOf(reader, reader.int('axis', 0)),
      reduction: scatterReduction(reader),
    }),
  },
  ScatterND: {
    write: ({ attributes: { reduction } }) => ({ attributes: [string('reduction', reduction)] }),
    read: (reader) => ({ reduction: scatterReduction(reader) }),
  },
};

/** Counts negative axes from the end of the first operand. */
function axisOf({ inputs }: NodeReader, axis: number): number {
  const shape: Shape = inputs[0]?.shape ?? [];
  return axis < 0 ? axis + shape.length : axis;
}

import { Root } from 'protobufjs/light';
import { IntegrityError, describeError } from '../errors';
import type { DType } from '../autodiff/graph';

// The messages of ONNX that a graph of ours needs, with their field numbers from onnx.proto (github.com/onnx/onnx). What else
// a model may hold is skipped by the decoder, as protobuf readers do.

export interface TensorProto {
  readonly name?: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Little-endian, row-major. */
  readonly rawData: Uint8Array;
}
export interface AttributeProto {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly t?: TensorProto;
  readonly ints?: readonly number[];
}
export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  readonly domain?: string;
  /** Value names; '' where an optional input is left out. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeProto[];
  readonly docString?: string;
}
export interface ValueInfoProto {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: {
        readonly dim: readonly { readonly dimValue?: number; readonly dimParam?: string }[];
      };
    };
  };
}
export interface GraphProto {
  readonly name: string;
  readonly node: readonly NodeProto[];
  readonly initializer: readonly TensorProto[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
}
export interface ModelProto {
  readonly irVersion: number;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly producerName: string;
  readonly graph: GraphProto;
}

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, tensor: 4, ints: 7 } as const;

/** TensorProto.DataType. */
export const DATA_TYPE: Readonly<Record<DType, number>> = {
  float32: 1,
  int64: 7,
  bool: 9,
  float64: 11,
};

interface Field {
  readonly type: string;
  readonly id: number;
  readonly edition: string;
  readonly rule?: string;
}
// As in onnx.proto, fields are proto2's: a 0 that was set is written and read as a 0, and not as absent.
const one = (type: string, id: number): Field => ({ type, id, edition: 'proto2' });
const many = (type: string, id: number): Field => ({ ...one(type, id), rule: 'repeated' });

const ModelType = Root.fromJSON({
  nested: {
    ModelProto: {
      fields: {
        irVersion: one('int64', 1),
        producerName: one('string', 2),
        graph: one('GraphProto', 7),
        opsetImport: many('OperatorSetIdProto', 8),
      },
    },
    OperatorSetIdProto: { fields: { domain: one('string', 1), version: one('int64', 2) } },
    GraphProto: {
      fields: {
        node: many('NodeProto', 1),
        name: one('string', 2),
        initializer: many('TensorProto', 5),
        input: many('ValueInfoProto', 11),
        output: many('ValueInfoProto', 12),
      },
    },
    NodeProto: {
      fields: {
        input: many('string', 1),
        output: many('string', 2),
        name: one('string', 3),
        opType: one('string', 4),
        attribute: many('AttributeProto', 5),
        docString: one('string', 6),
        domain: one('string', 7),
      },
    },
    AttributeProto: {
      fields: {
        name: one('string', 1),
        f: one('float', 2),
        i: one('int64', 3),
        s: one('bytes', 4),
        t: one('TensorProto', 5),
        ints: many('int64', 8),
        type: one('int32', 20),
      },
    },
    TensorProto: {
      fields: {
        dims: many('int64', 1),
        dataType: one('int32', 2),
        name: one('string', 8),
        rawData: one('bytes', 9),
      },
    },
    ValueInfoProto: { fields: { name: one('string', 1), type: one('TypeProto', 2) } },
    TypeProto: {
      fields: { tensorType: one('Tensor', 1) },
      nested: {
        Tensor: { fields: { elemType: one('int32', 1), shape: one('TensorShapeProto', 2) } },
      },
    },
    TensorShapeProto: {
      fields: { dim: many('Dimension', 1) },
      nested: { Dimension: { fields: { dimValue: one('int64', 1), dimParam: one('string', 2) } } },
    },
  },
}).lookupType('ModelProto');

export function encodeModel(model: ModelProto): Uint8Array {
  return ModelType.encode(model).finish();
}

/** @throws {IntegrityError} if the bytes are not a ModelProto with a graph. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  let model;
  try {
    // 64-bit integers (sizes, axes) are read as numbers; repeated fields are there also where they are empty.
    model = ModelType.toObject(ModelType.decode(bytes), { longs: Number, arrays: true });
  } catch (error) {
    throw new IntegrityError(`the bytes are not an ONNX model: ${describeError(error)}`, {
      cause: error,
    });
  }
  if (model['graph'] === undefined)
    throw new IntegrityError('the bytes are not an ONNX model: it has no graph');
  return model as unknown as ModelProto;
}

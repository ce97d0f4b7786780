import { IntegrityError, UnsupportedOpError } from '../errors';
import type { DType, Shape, TensorData } from '../autodiff/graph';
import { sizeOf } from '../autodiff/graph';
import type { TensorProto } from './onnx-proto';
import { DATA_TYPE } from './onnx-proto';

const BYTES: Readonly<Record<DType, number>> = { float32: 4, float64: 8, int64: 8, bool: 1 };

/** Numbers as the typed array of a dtype. */
export function dataOf(dtype: DType, values: readonly number[]): TensorData {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'float64':
      return Float64Array.from(values);
    case 'int64':
      return BigInt64Array.from(values, BigInt);
    case 'bool':
      return Uint8Array.from(values);
  }
}

/** A tensor as raw bytes, which share memory with `data`. Little-endian, as every platform of Node.js is. */
export function toTensorProto(
  dtype: DType,
  shape: Shape,
  values: TensorData | readonly number[],
  name?: string,
): TensorProto {
  const data = ArrayBuffer.isView(values) ? values : dataOf(dtype, values);
  return {
    dims: shape,
    dataType: DATA_TYPE[dtype],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    ...(name === undefined ? {} : { name }),
  };
}

/** @throws {UnsupportedOpError} for a dtype that the IR does not have; {IntegrityError} if the bytes do not fit the shape. */
export function fromTensorProto(tensor: TensorProto): {
  dtype: DType;
  shape: Shape;
  data: TensorData;
} {
  const dtype = dtypeFromOnnx(tensor.dataType);
  const shape = tensor.dims;
  const raw = tensor.rawData ?? new Uint8Array();
  const expected = sizeOf(shape) * BYTES[dtype];
  if (raw.byteLength !== expected) {
    throw new IntegrityError(
      `a tensor expected ${expected} bytes of raw data, got ${raw.byteLength}`,
      {
        context: { tensor: tensor.name },
      },
    );
  }
  const copy = new Uint8Array(raw).buffer; // aligned, and no window into the whole model
  const data =
    dtype === 'float32'
      ? new Float32Array(copy)
      : dtype === 'float64'
        ? new Float64Array(copy)
        : dtype === 'int64'
          ? new BigInt64Array(copy)
          : new Uint8Array(copy);
  return { dtype, shape, data };
}

/** @throws {UnsupportedOpError} for a dtype that the IR does not have. */
export function dtypeFromOnnx(dataType: number): DType {
  for (const [dtype, code] of Object.entries(DATA_TYPE))
    if (code === dataType) return dtype as DType;
  throw new UnsupportedOpError('expected a tensor of float32, float64, int64 or bool', {
    context: { dataType },
  });
}

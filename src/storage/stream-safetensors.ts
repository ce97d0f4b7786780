import { InvalidInputError } from '../errors';
import { toBfloat16, toFloat16 } from './half-precision';
import { elementCount, WIDTH } from './safetensors-header';

/** Kinds of floats that weights are stored in. */
export const FLOAT_TYPES = ['F32', 'F16', 'BF16'] as const;
export type FloatType = (typeof FLOAT_TYPES)[number];

export interface FloatTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Called once, when its turn comes. */
  readonly read: () => Promise<Float32Array>;
}

/**
 * A safetensors file in pieces, one tensor in memory at a time. Source of the format: https://github.com/huggingface/safetensors
 *
 * @throws {InvalidInputError} if a tensor has another number of values than its shape says.
 */
export async function* streamSafetensors(
  tensors: readonly FloatTensor[],
  dtype: FloatType,
  metadata: Readonly<Record<string, string>> = {},
): AsyncIterable<Uint8Array> {
  let offset = 0;
  const entries = tensors.map(({ name, shape }) => {
    const begin = offset;
    offset += elementCount(shape) * WIDTH[dtype];
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const header = Buffer.from(
    JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }),
  );
  const bytes = Buffer.alloc(Math.ceil(header.byteLength / 8) * 8, ' '); // so that the data is aligned
  header.copy(bytes);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(bytes.byteLength), true);
  yield length;
  yield bytes;
  for (const { name, shape, read } of tensors) {
    const values = await read();
    if (values.length !== elementCount(shape)) {
      throw new InvalidInputError('a tensor does not fit its shape', {
        context: { tensor: name, expected: elementCount(shape), got: values.length },
      });
    }
    const data = encode(values, dtype);
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

/** How many bytes the tensors of such a file are, its header apart. */
export function floatBytes(shape: readonly number[], dtype: FloatType): number {
  return elementCount(shape) * WIDTH[dtype];
}

function encode(values: Float32Array, dtype: FloatType): Float32Array | Uint16Array {
  switch (dtype) {
    case 'F32':
      return values;
    case 'F16':
      return toFloat16(values);
    case 'BF16':
      return toBfloat16(values);
  }
}

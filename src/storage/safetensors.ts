import { endianness } from 'node:os';
import { IntegrityError, InvalidInputError, UnsupportedOpError } from '../errors';
import { fromBfloat16, fromFloat16 } from './half-precision';
import {
  elementCount,
  headerLength,
  LENGTH_BYTES,
  METADATA,
  parseHeader,
  WIDTH,
  type DTypeCode,
} from './safetensors-header';

/**
 * The safetensors format (https://huggingface.co/docs/safetensors, https://github.com/huggingface/safetensors#format), for the four
 * dtypes that Ratchet stores and the two half-precision ones that models come in:
 *
 *     u64 little-endian N | N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__"?} | data
 *
 * Offsets count from the start of the data; tensors fill it without holes or overlap; values are little-endian, row-major.
 *
 * Half precision is read as float32, since no typed array of Node 20 holds it.
 */
export type Tensor =
  | { readonly dtype: 'float32'; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: 'float64'; readonly shape: readonly number[]; readonly data: Float64Array }
  | { readonly dtype: 'int64'; readonly shape: readonly number[]; readonly data: BigInt64Array }
  | { readonly dtype: 'uint8'; readonly shape: readonly number[]; readonly data: Uint8Array };

export interface Safetensors {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Record<string, string>;
}

const CODES = { float32: 'F32', float64: 'F64', int64: 'I64', uint8: 'U8' } as const;
const ALIGNMENT = 8;

/**
 * The same tensors give the same bytes, in whatever order the map was built: wider dtypes come first, so that every tensor is aligned to its
 * width, and names are sorted within a width; the header is padded with spaces to a multiple of 8.
 *
 * @throws {InvalidInputError} if a shape does not fit its data, or a tensor is called `__metadata__`.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  assertLittleEndian();
  const ordered = [...tensors].sort(
    ([a, x], [b, y]) => WIDTH[CODES[y.dtype]] - WIDTH[CODES[x.dtype]] || (a < b ? -1 : 1),
  );
  // Built as text, not as an object: an object would move names such as "0" to the front.
  const members: string[] = [];
  if (Object.keys(metadata).length > 0) {
    const sorted = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
    const pairs = sorted.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
    members.push(`"${METADATA}":{${pairs.join(',')}}`);
  }
  let end = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    if (name === METADATA || elementCount(shape) !== data.length) {
      throw new InvalidInputError(
        `a tensor cannot be written: expected a name other than ${METADATA} and as many elements as its shape says, got ${data.length} elements`,
        { context: { name, dtype, shape: shape.join('x') } },
      );
    }
    const begin = end;
    end += data.byteLength;
    const entry = { dtype: CODES[dtype], shape, data_offsets: [begin, end] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const headerBytes = Math.ceil(json.byteLength / ALIGNMENT) * ALIGNMENT;

  const bytes = new Uint8Array(8 + headerBytes + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, 8, 8 + headerBytes);
  bytes.set(json, 8);
  let at = 8 + headerBytes;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Tensors are views on `bytes` where their alignment allows it (always, in files that this module wrote, read by `ObjectStore.get`),
 * and copies where not: do not write into them.
 *
 * Not checked: whether the header names a tensor twice; the last one would count, and the first leave a hole, which is refused.
 *
 * @throws {IntegrityError} if the file is cut off, or its header is not JSON of this format, has an unknown dtype, a shape that does not fit its
 *   bytes, or tensors that overlap, leave holes or reach outside the data.
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  assertLittleEndian();
  const length = headerLength(bytes, bytes.byteLength);
  const json = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length);
  const { entries, metadata } = parseHeader(json, bytes.byteLength);
  const tensors = new Map(
    [...entries].map(([name, entry]) => {
      const { dtype, shape, begin, end } = entry;
      return [name, toTensor(dtype, shape, bytes.subarray(begin, end))] as const;
    }),
  );
  return { tensors, metadata };
}

/**
 * A tensor of its bytes: a view on them where their alignment allows it, and a copy where not. Half precision becomes float32.
 *
 * @param bytes as many as the shape says.
 */
export function toTensor(dtype: DTypeCode, shape: readonly number[], bytes: Uint8Array): Tensor {
  // Typed arrays need offsets that are multiples of their width: files with an unpadded header are copied. (Not by `slice`, which on a
  // Buffer is a view.)
  const { buffer, byteOffset } =
    bytes.byteOffset % WIDTH[dtype] === 0 ? bytes : new Uint8Array(bytes);
  const length = bytes.byteLength / WIDTH[dtype];
  switch (dtype) {
    case 'F32':
      return { dtype: 'float32', shape, data: new Float32Array(buffer, byteOffset, length) };
    case 'F64':
      return { dtype: 'float64', shape, data: new Float64Array(buffer, byteOffset, length) };
    case 'I64':
      return { dtype: 'int64', shape, data: new BigInt64Array(buffer, byteOffset, length) };
    case 'U8':
      return { dtype: 'uint8', shape, data: new Uint8Array(buffer, byteOffset, length) };
    case 'F16':
    case 'BF16': {
      const bits = new Uint16Array(buffer, byteOffset, length);
      const data = dtype === 'F16' ? fromFloat16(bits) : fromBfloat16(bits);
      return { dtype: 'float32', shape, data };
    }
  }
}

/** The values of a tensor of floats as float32. @throws {IntegrityError} if it holds anything else. */
export function toFloat32({ dtype, data }: Tensor, name: string): Float32Array {
  if (dtype === 'float32') return data;
  if (dtype === 'float64') return Float32Array.from(data);
  throw new IntegrityError(`a tensor expected floats, got ${dtype}`, { context: { tensor: name } });
}

function assertLittleEndian(): void {
  if (endianness() === 'LE') return;
  throw new UnsupportedOpError('safetensors needs a little-endian machine: typed arrays are views');
}

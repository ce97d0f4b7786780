import { IntegrityError, InvalidInputError } from '../../../src/errors';
import { type Tensor, readSafetensors, writeSafetensors } from '../../../src/storage/safetensors';

const tensors = new Map<string, Tensor>([
  ['mask', { dtype: 'uint8', shape: [3], data: Uint8Array.of(1, 0, 255) }],
  ['weight', { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, -0, NaN, Infinity) }],
  ['bias', { dtype: 'float32', shape: [1], data: Float32Array.of(0.1) }],
  ['step', { dtype: 'int64', shape: [], data: BigInt64Array.of(-(2n ** 63n)) }],
  ['10', { dtype: 'float64', shape: [1], data: Float64Array.of(Math.PI) }],
  ['none', { dtype: 'float64', shape: [0, 7], data: new Float64Array(0) }],
]);

/** A file with this header and so many bytes of data. */
function file(header: string, dataBytes: number): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

it('gives back names, shapes, dtypes, metadata and every bit', () => {
  const read = readSafetensors(writeSafetensors(tensors, { format: 'pt' }));
  expect(read.metadata).toEqual({ format: 'pt' });
  expect(new Map([...read.tensors].sort())).toEqual(new Map([...tensors].sort()));
});

it('gives the same bytes for the same tensors, in whatever order they come', () => {
  const one = writeSafetensors(tensors, { b: '2', a: '1' });
  const two = writeSafetensors(new Map([...tensors].reverse()), { a: '1', b: '2' });
  expect(Buffer.from(one).equals(two)).toBe(true);
});

it('writes the layout that the format says: the bytes of a small file, one by one', () => {
  const small = new Map<string, Tensor>([
    ['b', { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) }],
    ['a', { dtype: 'uint8', shape: [1], data: Uint8Array.of(7) }],
  ]);
  const header =
    '{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  const data = '0000803f' + '00000040' + '07';
  expect(Buffer.from(writeSafetensors(small)).toString('hex')).toBe(
    padded.length.toString(16).padStart(2, '0').padEnd(16, '0') +
      Buffer.from(padded).toString('hex') +
      data,
  );
});

it('aligns every tensor to its width, so that they are views on the file', () => {
  const bytes = writeSafetensors(tensors, { odd: 'x' });
  for (const { data } of readSafetensors(bytes).tensors.values()) {
    expect(data.buffer).toBe(bytes.buffer);
  }
});

it('reads files of other writers, whose header is not padded, also from a Buffer inside another buffer', () => {
  const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} ';
  const unpadded = file(header.padEnd(57), 4);
  unpadded.set(new Uint8Array(Float32Array.of(1.5).buffer), 8 + 57);
  for (const shift of [0, 1, 3]) {
    const inside = Buffer.concat([Buffer.alloc(shift), unpadded]).subarray(shift);
    expect(readSafetensors(inside).tensors.get('a')?.data).toEqual(Float32Array.of(1.5));
  }
});

it('holds no tensors at all', () => {
  expect(readSafetensors(writeSafetensors(new Map()))).toEqual({
    tensors: new Map(),
    metadata: {},
  });
});

const F32 = (begin: number, end: number, shape = '[1]'): string =>
  `{"dtype":"F32","shape":${shape},"data_offsets":[${begin},${end}]}`;
it.each([
  ['of no bytes', new Uint8Array(0)],
  ['of seven bytes', new Uint8Array(7)],
  ['whose header is longer than it', Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 123, 125)],
  ['whose header has 2^63 bytes', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 128, 123, 125)],
  ['whose header is not JSON', file('{"a":', 0)],
  ['whose header is a list', file('[]', 0)],
  ['with an unknown dtype', file('{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}', 4)],
  ['without a shape', file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4)],
  ['with a negative size', file(`{"a":${F32(0, 4, '[-1]')}}`, 4)],
  ['with sizes whose product overflows', file(`{"a":${F32(0, 4, '[4294967296,4294967296]')}}`, 4)],
  ['whose shape does not fit', file(`{"a":${F32(0, 4, '[2]')}}`, 4)],
  ['that ends before it begins', file(`{"a":${F32(4, 0)}}`, 4)],
  ['with tensors that overlap', file(`{"a":${F32(0, 4)},"b":${F32(2, 6)}}`, 6)],
  ['with two tensors in one place', file(`{"a":${F32(0, 4)},"b":${F32(0, 4)}}`, 4)],
  ['with a hole', file(`{"a":${F32(0, 4)},"b":${F32(8, 12)}}`, 12)],
  ['that names a tensor twice', file(`{"a":${F32(0, 4)},"a":${F32(4, 8)}}`, 8)],
  ['that reaches outside', file(`{"a":${F32(0, 4)}}`, 3)],
  ['with bytes behind the last tensor', file(`{"a":${F32(0, 4)}}`, 5)],
  ['whose metadata is not text', file('{"__metadata__":{"step":1}}', 0)],
])('refuses a file %s', (_, bytes) => {
  expect(() => readSafetensors(bytes)).toThrow(IntegrityError);
});

it('refuses every cut of a good file', () => {
  const good = writeSafetensors(tensors, { format: 'pt' });
  for (let length = 0; length < good.length; length++) {
    expect(() => readSafetensors(good.subarray(0, length))).toThrow(IntegrityError);
  }
});

it('writes no tensor whose shape does not fit its data, or that is called as the metadata', () => {
  const data = Float32Array.of(1, 2);
  expect(() => writeSafetensors(new Map([['a', { dtype: 'float32', shape: [3], data }]]))).toThrow(
    InvalidInputError,
  );
  expect(() =>
    writeSafetensors(new Map([['__metadata__', { dtype: 'float32', shape: [2], data }]])),
  ).toThrow(InvalidInputError);
});

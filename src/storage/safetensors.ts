import { endianness } from 'node:os';
import { z } from 'zod';
import { IntegrityError, InvalidInputError, UnsupportedOpError } from '../errors';

/**
 * The safetensors format (https://huggingface.co/docs/safetensors, https://github.com/huggingface/safetensors#format), for the four
 * dtypes that Ratchet stores:
 *
 *     u64 little-endian N | N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__"?} | data
 *
 * Offsets count from the start of the data; tensors fill it without holes or overlap; values are little-endian, row-major.
 *
 * Left out: half precision, which no typed array of Node 20 holds.
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
const WIDTH = { F32: 4, F64: 8, I64: 8, U8: 1 } as const;

const METADATA = '__metadata__';
const ALIGNMENT = 8;
const MAX_HEADER_BYTES = 100_000_000; // the reference reader's limit

const Entry = z.strictObject({
  dtype: z.enum(['F32', 'F64', 'I64', 'U8']),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
type Entry = z.infer<typeof Entry>;
const Header = z.record(z.string(), z.unknown());
const Metadata = z.record(z.string(), z.string());

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
  const { header, dataStart } = readHeader(bytes);
  const { [METADATA]: rawMetadata = {}, ...rawEntries } = header;
  const metadata = parse(Metadata, rawMetadata, METADATA);
  const entries = Object.entries(rawEntries).map(
    ([name, raw]) => [name, parse(Entry, raw, name)] as const,
  );
  entries.sort(([, a], [, b]) => compareOffsets(a.data_offsets, b.data_offsets));

  let covered = 0;
  for (const [name, { dtype, shape, data_offsets }] of entries) {
    const [begin, end] = data_offsets;
    if (begin !== covered || elementCount(shape) * WIDTH[dtype] !== end - begin) {
      throw malformed(
        `tensors must fill the data in a row, each as long as its shape says: expected bytes ${covered} to ${covered + elementCount(shape) * WIDTH[dtype]}, got ${begin} to ${end}`,
        name,
      );
    }
    covered = end;
  }
  if (dataStart + covered !== bytes.byteLength) {
    throw malformed(
      `expected ${dataStart + covered} bytes in all, got ${bytes.byteLength}: it was cut off or appended to`,
    );
  }
  const tensors = new Map(
    entries.map(([name, entry]) => [name, toTensor(entry, bytes, dataStart)] as const),
  );
  return { tensors, metadata };
}

function readHeader(bytes: Uint8Array): { header: z.infer<typeof Header>; dataStart: number } {
  if (bytes.byteLength < 8) {
    throw malformed(`expected at least 8 bytes, got ${bytes.byteLength}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  const dataStart = 8 + headerBytes;
  if (headerBytes > MAX_HEADER_BYTES || dataStart > bytes.byteLength) {
    throw malformed(
      `expected a header inside the ${bytes.byteLength} bytes, got one of ${headerBytes}`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, dataStart)),
    );
  } catch (cause) {
    throw new IntegrityError('a safetensors file is malformed: its header is not JSON', { cause });
  }
  return { header: parse(Header, json, 'header'), dataStart };
}

function toTensor({ dtype, shape, data_offsets }: Entry, bytes: Uint8Array, start: number): Tensor {
  const [begin, end] = data_offsets;
  const at = bytes.byteOffset + start + begin;
  const length = (end - begin) / WIDTH[dtype];
  // Typed arrays need offsets that are multiples of their width: files with an unpadded header are copied. (Not by `slice`, which on a
  // Buffer is a view.)
  const [buffer, offset] =
    at % WIDTH[dtype] === 0
      ? [bytes.buffer, at]
      : [new Uint8Array(bytes.subarray(start + begin, start + end)).buffer, 0];
  switch (dtype) {
    case 'F32':
      return { dtype: 'float32', shape, data: new Float32Array(buffer, offset, length) };
    case 'F64':
      return { dtype: 'float64', shape, data: new Float64Array(buffer, offset, length) };
    case 'I64':
      return { dtype: 'int64', shape, data: new BigInt64Array(buffer, offset, length) };
    case 'U8':
      return { dtype: 'uint8', shape, data: new Uint8Array(buffer, offset, length) };
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error), where);
  return parsed.data;
}

function compareOffsets(a: Entry['data_offsets'], b: Entry['data_offsets']): number {
  return a[0] - b[0] || a[1] - b[1];
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function malformed(what: string, name?: string): IntegrityError {
  return new IntegrityError(`a safetensors file is malformed: ${what}`, { context: { name } });
}

function assertLittleEndian(): void {
  if (endianness() === 'LE') return;
  throw new UnsupportedOpError('safetensors needs a little-endian machine: typed arrays are views');
}

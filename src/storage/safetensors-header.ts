import { z } from 'zod';
import { IntegrityError } from '../errors';

/** The dtypes that are read, by their code in the file, with their width in bytes. */
export const WIDTH = { F64: 8, I64: 8, F32: 4, F16: 2, BF16: 2, U8: 1 } as const;
export type DTypeCode = keyof typeof WIDTH;

export const METADATA = '__metadata__';
const MAX_HEADER_BYTES = 100_000_000; // the reference reader's limit

const Entry = z.strictObject({
  dtype: z.enum(Object.keys(WIDTH) as [DTypeCode, ...DTypeCode[]]),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const Header = z.record(z.string(), z.unknown());
const Metadata = z.record(z.string(), z.string());

/** Where a tensor lies. */
export interface SafetensorsEntry {
  readonly dtype: DTypeCode;
  readonly shape: readonly number[];
  /** From the start of the file, and exclusive. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of the data. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Record<string, string>;
}

/** Bytes of the length field in front of the header. */
export const LENGTH_BYTES = 8;

/** @param start at least the first 8 bytes. @returns how long the header's JSON is. @throws {IntegrityError} if that cannot be. */
export function headerLength(start: Uint8Array, fileBytes: number): number {
  if (start.byteLength < LENGTH_BYTES || fileBytes < LENGTH_BYTES) {
    throw malformed(`expected at least ${LENGTH_BYTES} bytes, got ${fileBytes}`);
  }
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES || LENGTH_BYTES + length > fileBytes) {
    throw malformed(`expected a header inside the ${fileBytes} bytes, got one of ${length}`);
  }
  return length;
}

/**
 * @param json the bytes of the header. @param fileBytes the length of the whole file.
 * @throws {IntegrityError} if it is not JSON of this format, has a dtype that is not read, a shape that does not fit its bytes, or tensors that
 *   overlap, leave holes or do not end where the file ends. A name that stands there twice leaves a hole.
 */
export function parseHeader(json: Uint8Array, fileBytes: number): SafetensorsHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new IntegrityError('a safetensors file is malformed: its header is not JSON', { cause });
  }
  const { [METADATA]: rawMetadata = {}, ...rawEntries } = parse(Header, parsed, 'header');
  const metadata = parse(Metadata, rawMetadata, METADATA);
  const sorted = Object.entries(rawEntries)
    .map(([name, raw]) => [name, parse(Entry, raw, name)] as const)
    .sort(([, { data_offsets: a }], [, { data_offsets: b }]) => a[0] - b[0] || a[1] - b[1]);

  const dataStart = LENGTH_BYTES + json.byteLength;
  let covered = 0;
  const entries = new Map<string, SafetensorsEntry>();
  for (const [name, { dtype, shape, data_offsets }] of sorted) {
    const [begin, end] = data_offsets;
    const size = elementCount(shape) * WIDTH[dtype];
    if (begin !== covered || size !== end - begin) {
      throw malformed(
        `tensors must fill the data in a row, each as long as its shape says: expected bytes ${covered} to ${covered + size}, got ${begin} to ${end}`,
        name,
      );
    }
    covered = end;
    entries.set(name, { dtype, shape, begin: dataStart + begin, end: dataStart + end });
  }
  if (dataStart + covered !== fileBytes) {
    throw malformed(
      `expected ${dataStart + covered} bytes in all, got ${fileBytes}: it was cut off or appended to`,
    );
  }
  return { entries, metadata };
}

function parse<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw malformed(z.prettifyError(parsed.error), where);
  return parsed.data;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function malformed(what: string, name?: string): IntegrityError {
  return new IntegrityError(`a safetensors file is malformed: ${what}`, { context: { name } });
}

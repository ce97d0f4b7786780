import { IntegrityError, NotFoundError } from '../errors';
import { toTensor, type Tensor } from './safetensors';
import {
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  type SafetensorsEntry,
} from './safetensors-header';

/** Bytes that are read by their place, such as those of a large file. */
export interface RandomAccess {
  readonly sizeBytes: number;
  /** @returns fresh memory, `length` bytes of it; fewer only where the bytes end. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A safetensors file of which only the header is in memory. */
export interface LazySafetensors {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** @throws {NotFoundError} if there is no such tensor; {IntegrityError} if the file was cut off since. */
  read(name: string): Promise<Tensor>;
}

/** Checks the whole header, as `readSafetensors` does, and reads no data. @throws {IntegrityError} if the file is malformed. */
export async function openSafetensors(source: RandomAccess): Promise<LazySafetensors> {
  const { sizeBytes } = source;
  const length = headerLength(await source.read(0, LENGTH_BYTES), sizeBytes);
  const { entries, metadata } = parseHeader(await readAll(source, LENGTH_BYTES, length), sizeBytes);
  return {
    entries,
    metadata,
    async read(name) {
      const entry = entries.get(name);
      if (entry === undefined) {
        throw new NotFoundError('a safetensors file has no such tensor', { context: { name } });
      }
      const { dtype, shape, begin, end } = entry;
      return toTensor(dtype, shape, await readAll(source, begin, end - begin));
    },
  };
}

async function readAll(source: RandomAccess, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length);
  if (bytes.byteLength === length) return bytes;
  throw new IntegrityError('a safetensors file ended while it was read', {
    context: { offset, expected: length, got: bytes.byteLength },
  });
}

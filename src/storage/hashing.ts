import { createHash } from 'node:crypto';
import type { ObjectStore } from './object-store';

/**
 * The hash and length of a stored object, read in chunks: an object of any size takes little memory.
 *
 * @throws {NotFoundError} if the key is absent.
 */
export async function hashOf(
  store: ObjectStore,
  key: string,
  onBytes: (count: number) => void = () => undefined,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of store.getStream(key)) {
    hash.update(chunk);
    sizeBytes += chunk.byteLength;
    onBytes(chunk.byteLength);
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}

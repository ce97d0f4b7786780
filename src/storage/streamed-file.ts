import { createHash } from 'node:crypto';
import type { FileBody } from './commit';

/**
 * A file of a directory that is never in memory as a whole: its chunks are made twice, for their hash and for their bytes. Where they differ, nothing
 * is committed.
 */
export async function streamedFile(
  open: () => AsyncIterable<Uint8Array>,
): Promise<Exclude<FileBody, Uint8Array>> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of open()) {
    hash.update(chunk);
    sizeBytes += chunk.byteLength;
  }
  return { sha256: hash.digest('hex'), sizeBytes, open };
}

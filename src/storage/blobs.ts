import { sha256Hex } from './digest';
import { blobKey } from './keys';
import { putContent } from './content';
import type { ObjectRef } from '../schemas/object-ref';
import { refOf, verify } from './object-ref';
import type { ObjectStore } from './object-store';

/** The reference that `putBlob` will give: what a claim names before anything is written. */
export function blobRef(bytes: Uint8Array): ObjectRef {
  return refOf(blobKey(sha256Hex(bytes)), bytes);
}

/**
 * Stores bytes under their own hash. Writing the same bytes again, from anywhere, changes nothing and succeeds.
 *
 * After a crash: the blob is there whole, or not at all; write it again.
 */
export async function putBlob(store: ObjectStore, bytes: Uint8Array): Promise<ObjectRef> {
  const ref = blobRef(bytes);
  await putContent(store, ref, bytes);
  return ref;
}

/**
 * @throws {NotFoundError} if there is no such blob.
 * @throws {IntegrityError} if its bytes no longer have this hash.
 */
export async function getBlob(store: ObjectStore, sha256: string): Promise<Uint8Array> {
  const key = blobKey(sha256);
  const { bytes } = await store.get(key);
  verify(bytes, { sha256, sizeBytes: bytes.byteLength }, { key });
  return bytes;
}

import { createHash } from 'node:crypto';
import { ConflictError, IntegrityError, NotFoundError } from '../errors';
import type { ObjectRef } from '../schemas/object-ref';
import { sha256Hex } from './digest';
import type { ObjectStore } from './object-store';

export function refOf(key: string, bytes: Uint8Array): ObjectRef {
  return { key, sha256: sha256Hex(bytes), sizeBytes: bytes.byteLength };
}

/**
 * Writes an immutable object under a key that is unique to the write, and names it. After a crash: the whole object, or none. Either way it
 * counts only once something committed (a workflow's history, a pointer) names the reference. The same bytes again succeed.
 *
 * @throws {ConflictError} if the key holds something else: it was not unique.
 */
export async function putRef(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
): Promise<ObjectRef> {
  const ref = refOf(key, bytes);
  const outcome = await store.put(key, bytes, { ifAbsent: true, sha256: ref.sha256 });
  if (outcome.committed) return ref;
  const stored = refOf(key, (await store.get(key)).bytes);
  if (stored.sha256 === ref.sha256) return ref;
  throw new ConflictError(
    `an immutable object was already written with other bytes: expected ${describeBytes(ref)}, got ${describeBytes(stored)}; make the key unique to the attempt that writes it`,
    { context: { key } },
  );
}

/**
 * As `putRef`, of bytes that are hashed on their way.
 *
 * @throws {ConflictError} as `putRef` does.
 * @throws what `chunks` throws; nothing becomes visible then.
 */
export async function putStream(
  store: ObjectStore,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<ObjectRef> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const hashed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
      yield chunk;
    }
  };
  const outcome = await store.put(key, hashed(), { ifAbsent: true });
  const ref = { key, sha256: hash.digest('hex'), sizeBytes };
  if (outcome.committed) return ref;
  // A store may not have read all of a body that it refuses: then the hashes differ, as for another's object.
  const stored = refOf(key, (await store.get(key)).bytes);
  if (stored.sha256 === ref.sha256) return ref;
  throw new ConflictError(
    'an immutable object was already written with other bytes; make the key unique to the attempt that writes it',
    { context: { key } },
  );
}

/**
 * The bytes that the reference was made from.
 *
 * @throws {NotFoundError} if the key is absent.
 * @throws {IntegrityError} if length or hash differ.
 */
export async function readRef(store: ObjectStore, ref: ObjectRef): Promise<Uint8Array> {
  const { bytes } = await store.get(ref.key);
  verify(bytes, ref, { key: ref.key });
  return bytes;
}

/** @throws {IntegrityError} if length or hash of `bytes` are not as expected. */
export function verify(
  bytes: Uint8Array,
  expected: Pick<ObjectRef, 'sha256' | 'sizeBytes'>,
  context: Readonly<Record<string, string>> & { readonly key: string },
): void {
  const got = { sha256: sha256Hex(bytes), sizeBytes: bytes.byteLength };
  if (got.sha256 === expected.sha256 && got.sizeBytes === expected.sizeBytes) return;
  throw new IntegrityError(
    `stored bytes are not the ones that were committed: expected ${describeBytes(expected)}, got ${describeBytes(got)}; restore the object from a copy; \`ratchet store verify\` puts it into quarantine`,
    {
      context,
      damage: {
        key: context.key,
        expected: describeBytes(expected),
        sha256: expected.sha256,
        gotSha256: got.sha256,
      },
    },
  );
}

export function describeBytes({
  sha256,
  sizeBytes,
}: Pick<ObjectRef, 'sha256' | 'sizeBytes'>): string {
  return `sha256 ${sha256} of ${sizeBytes} bytes`;
}

/** Null instead of a `NotFoundError`; every other failure is passed on. */
export async function getIfPresent(
  store: ObjectStore,
  key: string,
): Promise<Awaited<ReturnType<ObjectStore['get']>> | null> {
  try {
    return await store.get(key);
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

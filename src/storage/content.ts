import { IntegrityError, NotFoundError } from '../errors';
import type { ObjectRef } from '../schemas/object-ref';
import { hashOf } from './hashing';
import { describeBytes } from './object-ref';
import type { Body, ObjectStore } from './object-store';
import { quarantine } from './quarantine';

/**
 * Writes an object whose key names its content. Where the key is taken, what lies there is not taken for our own: it is read and compared.
 * The same bytes are what a retry finds, and succeed. Others are damage: they are put into quarantine, and ours take their place.
 *
 * After a crash: the old bytes, none, or ours; run it again.
 *
 * @param body again for each try, where it can be read only once.
 * @throws {IntegrityError} if the body is not what `ref` says, or the place is damaged again as soon as it is mended.
 */
export async function putContent(
  store: ObjectStore,
  ref: ObjectRef,
  body: Uint8Array | (() => Body),
): Promise<void> {
  const { key, sha256 } = ref;
  for (let mended = 0; ; mended += 1) {
    const outcome = await store.put(key, typeof body === 'function' ? body() : body, {
      ifAbsent: true,
      sha256,
    });
    if (outcome.committed || (await isIntact(store, ref))) return;
    if (mended === MAX_MENDED) {
      throw new IntegrityError(
        `a damaged object comes back as often as it is mended: expected ${describeBytes(ref)}; check the disk, or who else writes there`,
        { context: { key } },
      );
    }
    await quarantine(store, {
      key,
      expected: describeBytes(ref),
      sha256,
      reason: 'a writer of the same content found other bytes in its place',
      by: 'writer',
    });
  }
}

/** Twice: once for the damage, and once for somebody who puts the same damage back from a copy. */
const MAX_MENDED = 2;

/** Whether the bytes in place are the ones that `ref` says. False also where nothing is there any more. */
async function isIntact(store: ObjectStore, ref: ObjectRef): Promise<boolean> {
  const head = await store.head(ref.key);
  if (head === null || head.sizeBytes !== ref.sizeBytes) return false;
  try {
    return (await hashOf(store, ref.key)).sha256 === ref.sha256;
  } catch (error) {
    if (error instanceof NotFoundError) return false; // removed since: the next put is not refused
    throw error;
  }
}

import { z } from 'zod';
import { NotFoundError } from '../errors';
import { Sha256Hex } from '../schemas/object-ref';
import { canonicalJson } from './canonical-json';
import { hashOf } from './hashing';
import { isRoutingKey, quarantineKey } from './keys';
import type { ObjectStore } from './object-store';

/** What lies beside the bytes of a damaged object. */
export const QuarantineNote = z.strictObject({
  formatVersion: z.literal(1),
  /** Where the bytes were. */
  key: z.string(),
  /** What had to be there, in words. */
  expected: z.string(),
  got: z.strictObject({ sha256: Sha256Hex, sizeBytes: z.int().min(0) }),
  reason: z.string(),
  /** Who found it: `verify`, `writer`, or the activity that read it. */
  by: z.string(),
  foundAt: z.iso.datetime(),
});
export type QuarantineNote = z.infer<typeof QuarantineNote>;

export interface DamagedObject {
  readonly key: string;
  readonly expected: string;
  /** The hash that the bytes must have; null where only their form shows the damage. */
  readonly sha256: string | null;
  /** The hash of the bytes in which the damage was seen; left out, whatever is there now counts if it is not `sha256`. */
  readonly gotSha256?: string;
  readonly reason: string;
  readonly by: string;
}

/**
 * - `quarantined`: the bytes lie under `at`, and no longer in their place.
 * - `kept`: a routing pointer; a copy lies under `at`, and the pointer stays where it is.
 * - `intact`: what is there now is as expected: the damage was in the reading, or someone mended it meanwhile.
 * - `gone`: nothing is there any more.
 */
export type QuarantineOutcome =
  | { readonly kind: 'quarantined' | 'kept'; readonly at: string }
  | { readonly kind: 'intact' | 'gone' };

/**
 * Puts a damaged object aside: a copy of its bytes, a note, and only then it is removed from its place, so that who commits the same content
 * again can. A routing pointer is never removed: a policy without one answers nobody, and only a person can say what it was.
 *
 * After a crash at any line: the object is in its place, or in quarantine, or both; run it again. What is removed is what was looked at a
 * moment before: the port cannot tie a delete to a version, so a writer who mends the place in that moment may have to do it again.
 */
export async function quarantine(
  store: ObjectStore,
  damaged: DamagedObject,
  now: () => number = Date.now,
): Promise<QuarantineOutcome> {
  const { key } = damaged;
  const head = await store.head(key);
  if (head === null) return { kind: 'gone' };
  try {
    const got = await hashOf(store, key);
    const isDamaged =
      damaged.sha256 === null
        ? got.sha256 === (damaged.gotSha256 ?? got.sha256)
        : got.sha256 !== damaged.sha256;
    if (!isDamaged) return { kind: 'intact' };

    const at = quarantineKey(key, got.sha256, 'bytes');
    await store.put(at, store.getStream(key), { ifAbsent: true, sha256: got.sha256 });
    const note: QuarantineNote = {
      formatVersion: 1,
      key,
      expected: damaged.expected,
      got,
      reason: damaged.reason,
      by: damaged.by,
      foundAt: new Date(now()).toISOString(),
    };
    await store.put(
      quarantineKey(key, got.sha256, 'note'),
      new TextEncoder().encode(canonicalJson(note)),
      { ifAbsent: true }, // the first finding stays
    );
    if (isRoutingKey(key)) return { kind: 'kept', at };
    const current = await store.head(key);
    if (current === null) return { kind: 'quarantined', at };
    if (current.etag !== head.etag) return { kind: 'intact' }; // mended since: not what we looked at
    await store.delete(key);
    return { kind: 'quarantined', at };
  } catch (error) {
    if (error instanceof NotFoundError) return { kind: 'gone' };
    throw error;
  }
}

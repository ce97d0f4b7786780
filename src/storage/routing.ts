import { z } from 'zod';
import { InvalidInputError } from '../errors';
import { Digest } from '../schemas/ids';
import { canonicalJson } from './canonical-json';
import { decodeChecked, encodeChecked } from './checked-json';
import { promotionKey, routingKey } from './keys';
import { getIfPresent } from './object-ref';
import type { Etag, ObjectStore } from './object-store';

/** Which checkpoint answers for a policy. The only object that ever changes. */
export const Routing = z
  .strictObject({
    formatVersion: z.literal(1),
    /** Goes up by one with every change of the pointer. */
    generation: z.int().min(0),
    champion: Digest,
    /** The checkpoint under canary; null when there is none. */
    candidate: Digest.nullable(),
    /** The candidate's share of the sessions, in 1/10,000. */
    basisPoints: z.int().min(0).max(10_000),
    /** Hashed with the session to split it: the same salt keeps a session on its side as the share grows. */
    salt: z.string().min(1),
    /** After this instant gateways ignore the candidate: a canary that nobody watches ends by itself. Null: no limit. */
    leaseUntil: z.iso.datetime().nullable(),
    /** The champion before this one: what a rollback returns to. */
    previous: Digest.nullable(),
    /** The promotion whose record says who approved this; null for the first champion of a policy. */
    promotionId: z.string().min(1).nullable(),
  })
  .refine(({ candidate, basisPoints }) => candidate !== null || basisPoints === 0, {
    error: 'without a candidate, basisPoints is 0',
    path: ['basisPoints'],
  });
export type Routing = z.infer<typeof Routing>;

export interface StoredRouting {
  readonly routing: Routing;
  readonly etag: Etag;
}

/** A lost swap is an outcome: the caller reads `current` and decides whether its evidence still holds. */
export type SwapOutcome =
  | { readonly committed: true; readonly etag: Etag }
  | { readonly committed: false; readonly current: StoredRouting | null };

/**
 * Null if the policy has no champion yet. Pollers compare `store.head(routingKey(policy))` first and read only on a change.
 *
 * @throws {IntegrityError} if the pointer was changed, or is not of this format.
 */
export async function readRouting(
  store: ObjectStore,
  policy: string,
): Promise<StoredRouting | null> {
  const key = routingKey(policy);
  const stored = await getIfPresent(store, key);
  if (stored === null) return null;
  return { routing: decodeChecked(stored.bytes, Routing, key), etag: stored.etag };
}

/**
 * The first pointer of a policy. After a crash: none, or this one. A retry that finds exactly this pointer in place has committed.
 *
 * @throws {InvalidInputError} if the pointer is not valid, or names a promotion that has no record.
 */
export async function createRouting(
  store: ObjectStore,
  policy: string,
  first: Routing,
): Promise<SwapOutcome> {
  const bytes = encode(first);
  await assertRecorded(store, policy, first, null);
  const outcome = await store.put(routingKey(policy), bytes, { ifAbsent: true });
  return outcome.committed ? outcome : recognize(first, await readRouting(store, policy));
}

/**
 * Compare-and-swap of the pointer. Before it, no reader sees `next`; from the moment it commits, every read does; a crash in between
 * leaves the old pointer or the new one.
 *
 * The answer may get lost after the commit. So a swap that finds its own `promotionId` and `generation` in place (or, where there is no
 * promotion id, its own content) answers that it committed. If yet another swap came on top meanwhile, the outcome is `current`.
 *
 * @param expected the etag that `readRouting` gave with the pointer that `next` was derived from.
 * @param next `generation` is the current one plus 1. A promotion id that the current pointer does not name needs its record at
 *   `promotionKey(policy, next.generation, next.promotionId)` first, so that no pointer ever names a record that is not there.
 * @throws {InvalidInputError} if `next` breaks one of these rules.
 */
export async function swapRouting(
  store: ObjectStore,
  policy: string,
  expected: Etag,
  next: Routing,
): Promise<SwapOutcome> {
  const bytes = encode(next);
  const before = await readRouting(store, policy);
  if (before === null || before.etag !== expected) return recognize(next, before);
  if (next.generation !== before.routing.generation + 1) {
    throw new InvalidInputError(
      `a routing pointer cannot be swapped: expected generation ${before.routing.generation + 1}, got ${next.generation}`,
      { context: { policy } },
    );
  }
  await assertRecorded(store, policy, next, before.routing.promotionId);
  const outcome = await store.put(routingKey(policy), bytes, { ifMatch: expected });
  return outcome.committed ? outcome : recognize(next, await readRouting(store, policy));
}

/**
 * Writes who approved what on which evidence, before the pointer that names it. The first write under a generation and promotion id stays:
 * a retry whose record differs (it was stamped later) gets the stored one back.
 *
 * After a crash: the record, or none. A record that no pointer names is a promotion that did not happen.
 */
export async function writePromotionRecord<T extends object>(
  store: ObjectStore,
  policy: string,
  { generation, promotionId }: { readonly generation: number; readonly promotionId: string },
  record: T,
  schema: z.ZodType<T>,
): Promise<T> {
  const key = promotionKey(policy, generation, promotionId);
  const outcome = await store.put(key, encodeChecked(record), { ifAbsent: true });
  return outcome.committed ? record : decodeChecked((await store.get(key)).bytes, schema, key);
}

/**
 * @throws {NotFoundError} if there is no such record.
 * @throws {IntegrityError} if it is not what was written.
 */
export async function readPromotionRecord<T>(
  store: ObjectStore,
  policy: string,
  { generation, promotionId }: { readonly generation: number; readonly promotionId: string },
  schema: z.ZodType<T>,
): Promise<T> {
  const key = promotionKey(policy, generation, promotionId);
  return decodeChecked((await store.get(key)).bytes, schema, key);
}

function encode(routing: Routing): Uint8Array {
  const parsed = Routing.safeParse(routing);
  if (!parsed.success) {
    throw new InvalidInputError(`a routing pointer is not valid: ${z.prettifyError(parsed.error)}`);
  }
  return encodeChecked(parsed.data);
}

async function assertRecorded(
  store: ObjectStore,
  policy: string,
  { generation, promotionId }: Routing,
  currentPromotionId: string | null,
): Promise<void> {
  if (promotionId === null || promotionId === currentPromotionId) return;
  if ((await store.head(promotionKey(policy, generation, promotionId))) !== null) return;
  throw new InvalidInputError(
    'a routing pointer names a promotion without a record: call writePromotionRecord first',
    { context: { policy, generation, promotionId } },
  );
}

function recognize(mine: Routing, current: StoredRouting | null): SwapOutcome {
  if (current === null) return { committed: false, current };
  const { generation, promotionId } = current.routing;
  const isMine =
    mine.promotionId === null
      ? canonicalJson(current.routing) === canonicalJson(mine)
      : generation === mine.generation && promotionId === mine.promotionId;
  return isMine ? { committed: true, etag: current.etag } : { committed: false, current };
}

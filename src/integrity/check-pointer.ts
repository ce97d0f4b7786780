import { IntegrityError, NotFoundError } from '../errors';
import type { Digest } from '../schemas/ids';
import { decodeChecked } from '../storage/checked-json';
import { readCheckpoint } from '../storage/checkpoints';
import { promotionsPrefix } from '../storage/keys';
import type { ObjectEntry, ObjectStore } from '../storage/object-store';
import { Routing } from '../storage/routing';
import { checkDocument, type Found } from './check-object';

/** A pointer that can be read, whose champion is whole, and whose promotion is on record. */
export async function checkPointer(
  store: ObjectStore,
  entries: ReadonlyMap<string, ObjectEntry>,
  policy: string,
  key: string,
): Promise<Found | null> {
  const records = [...entries.keys()].filter((one) => one.startsWith(promotionsPrefix(policy)));
  const help =
    records.length === 0
      ? 'the policy was never promoted: its first champion is the checkpoint that the run which created it names'
      : `write it anew from its last promotion: ${records.slice(-3).reverse().join(', ')}`;
  const found = await checkDocument(store, key, (raw) => decodeChecked(raw, Routing, key));
  if (found !== null) return { ...found, help };

  const { champion, candidate, promotionId, generation } = decodeChecked(
    (await store.get(key)).bytes,
    Routing,
    key,
  );
  const dangling = (expected: string, got: string): Found => ({
    ...{ problem: 'missing', expected, got, help, damage: null },
  });
  for (const [what, digest] of [
    ['champion', champion],
    ['candidate', candidate],
  ] as const) {
    if (digest === null) continue;
    const lacking = await whatLacks(store, digest);
    if (lacking !== null)
      return dangling(`the ${what} ${digest}, generation ${generation}, whole`, lacking);
  }
  const isRecorded =
    promotionId === null || records.some((record) => record.endsWith(`-${promotionId}.json`));
  return isRecorded ? null : dangling(`the record of promotion ${promotionId}`, 'no object');
}

/** What keeps a checkpoint from being served; null if nothing does. */
async function whatLacks(store: ObjectStore, digest: Digest): Promise<string | null> {
  try {
    await readCheckpoint(store, digest);
    return null;
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof IntegrityError) return error.message;
    throw error;
  }
}

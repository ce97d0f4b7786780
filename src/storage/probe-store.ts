import { InvalidInputError } from '../errors';
import { probeKey } from './keys';
import type { Etag, ObjectStore, PutCondition, PutOutcome } from './object-store';

const RACERS = 8;

/**
 * Tries on the store itself that it does what the protocols of this folder rest on: what was written is read back at once, a second
 * `ifAbsent` loses, a stale `ifMatch` loses, the right one wins, and of several at the same time exactly one. Writes one key, and removes it.
 *
 * A server that ignores the conditions would seem to work until two writers meet, and then lose a promotion without a trace: so it is
 * refused before anything else is written.
 *
 * @param id unique to the call: a segment of the probe's key.
 * @throws {InvalidInputError} naming what the store does not keep, and what to use instead.
 * @throws {TransientError} if it cannot be reached.
 */
export async function probeStore(store: ObjectStore, id: string): Promise<void> {
  const key = probeKey(id);
  let written = 0;
  const put = (condition: PutCondition): Promise<PutOutcome> =>
    store.put(key, bytesOf(`${id} ${++written}`), condition);
  try {
    const first = committed(await put({ ifAbsent: true }), 'a put with ifAbsent to a new key');
    const read = await store.get(key);
    if (read.etag !== first || textOf(read.bytes) !== `${id} 1`) {
      throw refuse('does not show what was just written', 'that reads what it wrote');
    }
    if ((await put({ ifAbsent: true })).committed) {
      throw refuse('ignores If-None-Match: a second put with ifAbsent replaced the first');
    }
    const second = committed(await put({ ifMatch: first }), 'a put with the current etag');
    if ((await put({ ifMatch: first })).committed) {
      throw refuse('ignores If-Match: a put with the etag of an older version replaced the newer');
    }
    // Together, since one at a time an adapter may see for itself that an etag is stale, and because servers that look first and then
    // write are found out only so.
    const race = await Promise.all(Array.from({ length: RACERS }, () => put({ ifMatch: second })));
    const winners = race.filter((outcome) => outcome.committed).length;
    if (winners !== 1) {
      throw refuse(`does not hold If-Match: of ${RACERS} puts at the same time ${winners} won`);
    }
  } catch (error) {
    await store.delete(key).catch(() => undefined); // the failure before it is the one that counts
    throw error;
  }
  await store.delete(key);
}

function committed(outcome: PutOutcome, what: string): Etag {
  if (outcome.committed) return outcome.etag;
  throw refuse(`lost ${what}`);
}

function refuse(what: string, needed = 'with conditional writes'): InvalidInputError {
  return new InvalidInputError(
    `the object store ${what}. Ratchet needs one ${needed}: use AWS S3, a recent MinIO, another server that promises If-None-Match and If-Match for PutObject, or local files (RATCHET_STORE=file:<folder>)`,
  );
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

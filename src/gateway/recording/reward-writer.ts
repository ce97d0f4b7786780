import { IntegrityError, TransientError } from '../../errors';
import { createErasureReader } from '../../erasure/erasures';
import { FeedbackRecord } from '../../schemas/feedback';
import { canonicalJson } from '../../storage/canonical-json';
import { sha256Hex } from '../../storage/digest';
import { parseJson } from '../../storage/json-objects';
import { rewardsKey } from '../../storage/keys';
import { getIfPresent } from '../../storage/object-ref';
import type { ObjectStore } from '../../storage/object-store';

/** `repeated`: the record was there already; `conflict`: another one was, under the same id; `erased`: what it is about is erased, and nothing is kept of it. */
export interface RewardWritten {
  readonly outcome: 'written' | 'repeated' | 'conflict' | 'erased';
  /** What is stored; of something erased what was sent. */
  readonly record: FeedbackRecord;
}

export interface RewardWriter {
  /**
   * Resolves once the record is durable.
   *
   * @throws {TransientError} saying when to try again, if the store cannot be written: whoever gives feedback still has it, and under its
   *   id a repeat is harmless, so it is not spooled.
   */
  write(record: FeedbackRecord): Promise<RewardWritten>;
}

const DAY_MS = 86_400_000;
const RETRY_AFTER_MS = 5_000;

/**
 * Writes each record as a segment of its own under the day of its `at` (UTC): `v1/rewards/<day>/<sha256 of its id>.jsonl`. The put is
 * if-absent, so of two writers of one id exactly one writes. A repeat is noticed on the same day and the next one; later it is
 * another line with the same id, and readers count an id once.
 */
export function createRewardWriter(store: ObjectStore): RewardWriter {
  const erasures = createErasureReader(store);
  const read = async (key: string): Promise<FeedbackRecord | null> => {
    const stored = await getIfPresent(store, key);
    return stored === null ? null : parseJson(stored.bytes, FeedbackRecord, key);
  };

  const write = async (record: FeedbackRecord, bytes: Uint8Array): Promise<RewardWritten> => {
    const name = sha256Hex(record.id);
    const keyAt = (ms: number): string => rewardsKey(new Date(ms).toISOString().slice(0, 10), name);
    const atMs = Date.parse(record.at);
    const yesterday = await read(keyAt(atMs - DAY_MS));
    if (yesterday !== null) return compare(record, yesterday);

    const key = keyAt(atMs);
    const { committed } = await store.put(key, bytes, {
      ifAbsent: true,
      sha256: sha256Hex(bytes),
    });
    if (committed) return { outcome: 'written', record };
    const stored = await read(key);
    if (stored === null)
      throw new IntegrityError('a reward record disappeared', { context: { key } });
    return compare(record, stored);
  };

  return {
    async write(record) {
      const bytes = new TextEncoder().encode(`${canonicalJson(record)}\n`);
      try {
        if ((await erasures.read()).hasTrajectory(record.trajectory))
          return { outcome: 'erased', record };
        const written = await write(record, bytes);
        // Whoever erased meanwhile may have looked before this was written.
        if (!(await erasures.read()).hasTrajectory(record.trajectory)) return written;
        const day = written.record.at.slice(0, 10);
        await store.delete(rewardsKey(day, sha256Hex(record.id)));
        return { outcome: 'erased', record };
      } catch (cause) {
        if (cause instanceof IntegrityError) throw cause; // waiting does not help
        throw new TransientError('the feedback was not stored: send it again, under the same id', {
          retryAfterMs: RETRY_AFTER_MS,
          cause,
        });
      }
    },
  };
}

/** The time is when it was said first; saying the same later is the same. */
function compare(record: FeedbackRecord, stored: FeedbackRecord): RewardWritten {
  const isSame = canonicalJson({ ...record, at: stored.at }) === canonicalJson(stored);
  return { outcome: isSame ? 'repeated' : 'conflict', record: stored };
}

import { EvidenceRecord, IterationRecord, RunRecord } from '../schemas/run-records';
import { canonicalJson } from './canonical-json';
import { decodeChecked, encodeChecked } from './checked-json';
import { putContent } from './content';
import { parseJson } from './json-objects';
import { evidenceKey, iterationRecordKey, runRecordKey } from './keys';
import { getIfPresent, refOf, verify } from './object-ref';
import type { ObjectStore } from './object-store';
import { sha256Hex } from './digest';

/**
 * Says what was asked for, once: a retry that would say something else (the workers register another version of the dataset by now) gets the
 * stored record back, and goes on with that.
 *
 * After a crash: the record, or none.
 */
export async function writeRunRecord(store: ObjectStore, record: RunRecord): Promise<RunRecord> {
  const key = runRecordKey(record.run);
  const outcome = await store.put(key, encodeChecked(record), { ifAbsent: true });
  return outcome.committed ? record : decodeChecked((await store.get(key)).bytes, RunRecord, key);
}

/**
 * @returns null if there is no such run.
 * @throws {IntegrityError} if the record was changed.
 */
export async function readRunRecord(store: ObjectStore, run: string): Promise<RunRecord | null> {
  const key = runRecordKey(run);
  const stored = await getIfPresent(store, key);
  return stored === null ? null : decodeChecked(stored.bytes, RunRecord, key);
}

/**
 * Says what an activity committed, under the record's own hash: all attempts of one activity that did the same write the same record. What it
 * names was written before, so whoever finds the record finds that too.
 */
export async function writeIterationRecord(
  store: ObjectStore,
  record: IterationRecord,
): Promise<void> {
  const bytes = new TextEncoder().encode(canonicalJson(record));
  const key = iterationRecordKey(record.run, record.iteration, record.kind, sha256Hex(bytes));
  await putContent(store, refOf(key, bytes), bytes);
}

/** @throws {IntegrityError} if its bytes do not have the hash that its key ends in. */
export async function readIterationRecord(
  store: ObjectStore,
  key: string,
): Promise<IterationRecord> {
  return parseJson(await readByName(store, key), IterationRecord, key);
}

/** Written before the evaluation that it belongs to: whoever finds an evaluation finds its evidence. */
export async function writeEvidence(store: ObjectStore, evidence: EvidenceRecord): Promise<void> {
  const bytes = new TextEncoder().encode(canonicalJson(evidence));
  await putContent(store, refOf(evidenceKey(evidence.evaluation, sha256Hex(bytes)), bytes), bytes);
}

export async function readEvidence(store: ObjectStore, key: string): Promise<EvidenceRecord> {
  return parseJson(await readByName(store, key), EvidenceRecord, key);
}

/** `…/<kind>-<sha256>.json`, `v1/blobs/<sha256>`, `v1/evaluations/<sha256>.json`: the hash that a key promises; null if it promises none. */
export function hashInKey(key: string): string | null {
  return /(?:^|[/-])([0-9a-f]{64})(?:\.json)?$/.exec(key)?.[1] ?? null;
}

async function readByName(store: ObjectStore, key: string): Promise<Uint8Array> {
  const { bytes } = await store.get(key);
  const sha256 = hashInKey(key) ?? '';
  verify(bytes, { sha256, sizeBytes: bytes.byteLength }, { key });
  return bytes;
}

import { IntegrityError } from '../errors';
import { hashOf } from '../storage/hashing';
import { describeBytes } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';

/** What is wrong with one object. */
export interface Found {
  readonly problem: 'damaged' | 'missing' | 'unreadable' | 'unlisted';
  readonly expected: string;
  readonly got: string;
  /** What a person can do. */
  readonly help: string;
  /** What quarantine needs; null where there is nothing to put aside. */
  readonly damage: { readonly sha256: string | null; readonly gotSha256?: string } | null;
}

/** Whether its bytes are the ones that were committed. */
export async function checkHash(
  store: ObjectStore,
  key: string,
  expected: { readonly sha256: string; readonly sizeBytes?: number },
  onBytes: (count: number) => void,
): Promise<Found | null> {
  const got = await hashOf(store, key, onBytes);
  if (got.sha256 === expected.sha256) return null;
  return {
    problem: 'damaged',
    expected:
      expected.sizeBytes === undefined || expected.sizeBytes < 0
        ? `sha256 ${expected.sha256}`
        : describeBytes({ sha256: expected.sha256, sizeBytes: expected.sizeBytes }),
    got: describeBytes(got),
    help: 'restore it from a copy, or run again what wrote it',
    damage: { sha256: expected.sha256 },
  };
}

/** Whether it can be read at all. */
export async function checkReading(read: () => Promise<unknown>): Promise<Found | null> {
  try {
    await read();
    return null;
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    return toFound(error);
  }
}

/** Whether it is a document of its kind. */
export function checkDocument(
  store: ObjectStore,
  key: string,
  parse: (bytes: Uint8Array) => unknown,
): Promise<Found | null> {
  return checkReading(async () => parse((await store.get(key)).bytes));
}

function toFound(error: IntegrityError): Found {
  const { damage } = error;
  return {
    problem: damage === undefined ? 'unreadable' : 'damaged',
    expected: damage?.expected ?? 'what this version of Ratchet can read',
    got: damage === undefined ? error.message : `sha256 ${damage.gotSha256}`,
    help:
      damage === undefined
        ? 'read it with the version that wrote it; it was left where it is'
        : 'restore it from a copy',
    damage: damage === undefined ? null : { sha256: damage.sha256, gotSha256: damage.gotSha256 },
  };
}

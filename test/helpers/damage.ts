import { QuarantineNote } from '../../src/storage/quarantine';
import { quarantineKey } from '../../src/storage/keys';
import { sha256Hex } from '../../src/storage/digest';
import type { ObjectStore } from '../../src/storage/object-store';

/** What happens to bytes on disks and wires. */
export const DAMAGES = {
  truncated: (bytes: Uint8Array): Uint8Array => bytes.slice(0, Math.floor(bytes.byteLength / 2)),
  altered: (bytes: Uint8Array): Uint8Array => flipBit(bytes, Math.floor(bytes.byteLength / 2), 0),
} as const;
export type DamageKind = keyof typeof DAMAGES;

export function flipBit(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const flipped = bytes.slice();
  flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
  return flipped;
}

/** Damages an object in its place. @returns its bytes as they are now. */
export async function damage(
  store: ObjectStore,
  key: string,
  kind: DamageKind,
): Promise<Uint8Array> {
  const damaged = DAMAGES[kind]((await store.get(key)).bytes);
  await store.put(key, damaged);
  return damaged;
}

/** What lies in quarantine of these bytes. */
export async function quarantined(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
): Promise<{ readonly bytes: Uint8Array; readonly note: QuarantineNote }> {
  const sha256 = sha256Hex(bytes);
  const note = (await store.get(quarantineKey(key, sha256, 'note'))).bytes;
  return {
    bytes: (await store.get(quarantineKey(key, sha256, 'bytes'))).bytes,
    note: QuarantineNote.parse(JSON.parse(Buffer.from(note).toString())),
  };
}

export async function keyMatching(store: ObjectStore, pattern: RegExp): Promise<string> {
  for await (const { key } of store.list('')) if (pattern.test(key)) return key;
  throw new Error(`no key matches ${String(pattern)}`);
}

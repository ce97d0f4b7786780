import { z } from 'zod';
import { IntegrityError } from '../errors';
import type { Digest } from '../schemas/ids';
import { Sha256Hex } from '../schemas/object-ref';
import { Json } from '../schemas/json';
import { canonicalJson } from './canonical-json';
import { digestOf, hexOf } from './digest';

/** The name of the manifest inside its folder; no file of the directory can have it. */
export const MANIFEST_FILE = 'manifest.json';

/** A file inside a committed directory: one segment of a key. */
const FileName = z
  .string()
  .regex(
    /^(?!\.)[A-Za-z0-9._=-]{1,120}(?<!\.)$/,
    'expected letters, digits and "._=-", neither starting nor ending with a dot, at most 120 characters',
  )
  .refine((file) => file !== MANIFEST_FILE, `${MANIFEST_FILE} is the manifest itself`);

/**
 * What a committed directory holds. Its digest is the sha256 of its canonical JSON, so it names every byte of every file, and two writers
 * of the same content get the same digest. For that, `metadata` holds nothing that differs between two runs: no times, hosts or attempts.
 */
export const Manifest = z.strictObject({
  formatVersion: z.literal(1),
  kind: z.enum(['checkpoint', 'dataset']),
  metadata: z.record(z.string(), Json),
  files: z.record(FileName, z.strictObject({ sha256: Sha256Hex, sizeBytes: z.int().min(0) })),
});
export type Manifest = z.infer<typeof Manifest>;
export type DirectoryKind = Manifest['kind'];

export function encodeManifest(manifest: Manifest): { bytes: Uint8Array; digest: Digest } {
  const bytes = new TextEncoder().encode(canonicalJson(manifest));
  return { bytes, digest: digestOf(bytes) };
}

/** @throws {IntegrityError} if the bytes do not have this digest, or are no manifest of this kind and format version. */
export function decodeManifest(
  bytes: Uint8Array,
  kind: DirectoryKind,
  digest: Digest,
  key: string,
): Manifest {
  const got = digestOf(bytes);
  if (got !== digest) {
    throw new IntegrityError(`a manifest was changed: expected ${digest}, got ${got}`, {
      context: { key, kind },
      damage: { key, expected: digest, sha256: hexOf(digest), gotSha256: hexOf(got) },
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new IntegrityError('a manifest is not JSON', { context: { kind, digest }, cause });
  }
  const parsed = Manifest.safeParse(json);
  if (!parsed.success) {
    throw new IntegrityError(
      `a manifest cannot be read: expected format version 1, got ${z.prettifyError(parsed.error)}`,
      { context: { kind, digest } },
    );
  }
  if (parsed.data.kind !== kind) {
    throw new IntegrityError(
      `a manifest is of another kind: expected ${kind}, got ${parsed.data.kind}`,
      {
        context: { digest },
      },
    );
  }
  return parsed.data;
}

import { z } from 'zod';
import { IntegrityError } from '../errors';
import { canonicalJson } from './canonical-json';
import { sha256Hex } from './digest';
import { parseJson } from './json-objects';

// Objects that are found by name and not by content carry their own hash: in a routing pointer one changed digit is another generation,
// and in a promotion record another approver, and both would still be JSON of their schema.

const Checked = z.looseObject({ checksum: z.string().optional() }); // any text: one changed digit is damage, too

/** Canonical JSON of the object with one more field, `checksum`: the sha256 of the canonical JSON without it. */
export function encodeChecked(value: object): Uint8Array {
  const checksum = sha256Hex(canonicalJson(value));
  return new TextEncoder().encode(canonicalJson({ ...value, checksum }));
}

/**
 * The object, without its checksum. One that has none was written by hand, and is taken as it is.
 *
 * @throws {IntegrityError} if the bytes are not what was written, or not of this schema.
 */
export function decodeChecked<T>(bytes: Uint8Array, schema: z.ZodType<T>, key: string): T {
  const { checksum, ...value } = parseJson(bytes, Checked, key);
  if (checksum !== undefined) {
    const got = sha256Hex(canonicalJson(value));
    if (got !== checksum) {
      throw new IntegrityError(
        `a stored record was changed: expected checksum ${checksum}, got ${got}; restore it from a copy`,
        {
          context: { key },
          damage: {
            key,
            expected: `JSON with checksum ${checksum}`,
            sha256: null,
            gotSha256: sha256Hex(bytes),
          },
        },
      );
    }
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new IntegrityError(
    `stored JSON is not of the expected schema: ${z.prettifyError(parsed.error)}`,
    { context: { key } },
  );
}

import { z } from 'zod';
import { type Damage, IntegrityError } from '../errors';
import type { Digest } from '../schemas/ids';
import type { ObjectRef } from '../schemas/object-ref';
import { canonicalJson } from './canonical-json';
import { digestOf, sha256Hex } from './digest';
import { evaluationKey } from './keys';
import { putContent } from './content';
import { putRef, putStream, readRef, refOf, verify } from './object-ref';
import type { ObjectStore } from './object-store';

/**
 * Writes a segment: one canonical JSON line per row, so that equal rows give equal bytes. What a crash leaves, and the `ConflictError`, are
 * those of `putRef`.
 *
 * @throws {InvalidInputError} if a row is not JSON.
 */
export async function writeJsonLines(
  store: ObjectStore,
  key: string,
  rows: Iterable<unknown>,
): Promise<ObjectRef> {
  const lines = Array.from(rows, encodeJsonLine);
  return putRef(store, key, new TextEncoder().encode(lines.join('')));
}

/** One row of a segment. @throws {InvalidInputError} if it is not JSON. */
export function encodeJsonLine(row: unknown): string {
  return `${canonicalJson(row)}\n`;
}

/**
 * As `writeJsonLines`, for a segment that need not fit into memory: a row is asked for when those before it are written. If
 * `rows` throws, nothing becomes visible and the error is passed on.
 */
export async function streamJsonLines(
  store: ObjectStore,
  key: string,
  rows: AsyncIterable<unknown>,
): Promise<ObjectRef> {
  return putStream(store, key, linesOf(rows));
}

async function* linesOf(rows: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  let lines: string[] = [];
  let units = 0;
  for await (const row of rows) {
    const line = encodeJsonLine(row);
    lines.push(line);
    units += line.length;
    if (units < CHUNK_UNITS) continue;
    yield new TextEncoder().encode(lines.join(''));
    lines = [];
    units = 0;
  }
  if (lines.length > 0) yield new TextEncoder().encode(lines.join(''));
}

/** UTF-16 units of text that go to the store at once. */
const CHUNK_UNITS = 256 * 1024;

/**
 * Every row of a segment, each parsed by `schema`. Reading by reference also checks length and hash.
 *
 * @throws {NotFoundError} if the key is absent.
 * @throws {IntegrityError} if the bytes differ from the reference, or naming the line that is not JSON or not of this schema.
 */
export async function readJsonLines<T>(
  store: ObjectStore,
  source: string | ObjectRef,
  schema: z.ZodType<T>,
): Promise<T[]> {
  const { key, bytes } = await read(store, source);
  return parseJsonLines(bytes, schema, key);
}

/** @throws {IntegrityError} naming the line that is not JSON or not of this schema. */
export function parseJsonLines<T>(bytes: Uint8Array, schema: z.ZodType<T>, key: string): T[] {
  const lines = decodeUtf8(bytes, key).split('\n');
  if (lines.pop() !== '') {
    throw new IntegrityError('a segment is cut off: expected a line end as its last byte', {
      context: { key },
      damage: damageOf(key, bytes, 'a line end as its last byte'),
    });
  }
  return lines.map((line, i) => parse(line, schema, { key, line: i + 1 }, bytes));
}

/**
 * One JSON object. Reading by reference also checks length and hash.
 *
 * @throws {NotFoundError} if the key is absent.
 * @throws {IntegrityError} if the bytes differ from the reference, or are not JSON of this schema.
 */
export async function readJson<T>(
  store: ObjectStore,
  source: string | ObjectRef,
  schema: z.ZodType<T>,
): Promise<T> {
  const { key, bytes } = await read(store, source);
  return parseJson(bytes, schema, key);
}

/** @throws {IntegrityError} if the bytes are not JSON of this schema. */
export function parseJson<T>(bytes: Uint8Array, schema: z.ZodType<T>, key: string): T {
  return parse(decodeUtf8(bytes, key), schema, { key }, bytes);
}

/** Stores an evaluation under the digest of its canonical JSON. The same evaluation again changes nothing. */
export async function writeEvaluation(store: ObjectStore, evaluation: unknown): Promise<Digest> {
  const bytes = new TextEncoder().encode(canonicalJson(evaluation));
  const digest = digestOf(bytes);
  await putContent(store, refOf(evaluationKey(digest), bytes), bytes);
  return digest;
}

/**
 * @throws {NotFoundError} if there is no evaluation of this digest.
 * @throws {IntegrityError} if its bytes no longer have this digest, or it is not of this schema.
 */
export async function readEvaluation<T>(
  store: ObjectStore,
  digest: Digest,
  schema: z.ZodType<T>,
): Promise<T> {
  const key = evaluationKey(digest);
  const { bytes } = await store.get(key);
  const sha256 = digest.slice('sha256:'.length);
  verify(bytes, { sha256, sizeBytes: bytes.byteLength }, { key });
  return parseJson(bytes, schema, key);
}

async function read(
  store: ObjectStore,
  source: string | ObjectRef,
): Promise<{ key: string; bytes: Uint8Array }> {
  if (typeof source === 'string') return { key: source, bytes: (await store.get(source)).bytes };
  return { key: source.key, bytes: await readRef(store, source) };
}

function decodeUtf8(bytes: Uint8Array, key: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new IntegrityError('a stored text is not UTF-8', {
      context: { key },
      cause,
      damage: damageOf(key, bytes, 'text in UTF-8'),
    });
  }
}

/** For objects that no reference and no key gives a hash: their form shows that they were cut or changed. */
function damageOf(key: string, bytes: Uint8Array, expected: string): Damage {
  return { key, expected, sha256: null, gotSha256: sha256Hex(bytes) };
}

function parse<T>(
  text: string,
  schema: z.ZodType<T>,
  context: Readonly<Record<string, string | number>> & { readonly key: string },
  bytes: Uint8Array,
): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new IntegrityError(
      `stored JSON cannot be read: expected JSON, got ${JSON.stringify(text.slice(0, 80))}`,
      { context, cause, damage: damageOf(context.key, bytes, 'JSON') },
    );
  }
  // No damage is claimed below: JSON of another schema may be what a newer version wrote.
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new IntegrityError(
      `stored JSON is not of the expected schema: ${z.prettifyError(parsed.error)}`,
      { context },
    );
  }
  return parsed.data;
}

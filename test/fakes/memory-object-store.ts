import { IntegrityError, InvalidInputError, NotFoundError } from '../../src/errors';
import { sha256Hex } from '../../src/storage/digest';
import { assertKey } from '../../src/storage/keys';
import type { Body, ObjectEntry, ObjectStore } from '../../src/storage/object-store';

/** An ObjectStore in memory: the contract of the port, within one process and without the crashes. */
export function createMemoryObjectStore(): ObjectStore {
  const objects = new Map<string, { readonly bytes: Uint8Array; readonly etag: string }>();
  let versions = 0;

  const read = (key: string): { readonly bytes: Uint8Array; readonly etag: string } => {
    assertKey(key);
    const object = objects.get(key);
    if (object === undefined) throw new NotFoundError('no such object', { context: { key } });
    return object;
  };

  return {
    async get(key) {
      const { bytes, etag } = read(key);
      return { bytes: new Uint8Array(bytes), etag };
    },

    async *getStream(key, { start, end } = { start: 0 }) {
      const { bytes } = read(key);
      const { length } = bytes;
      if (start < 0 || (start >= length && start > 0) || (end !== undefined && end <= start)) {
        throw new InvalidInputError(`a range does not fit: expected it within ${length} bytes`, {
          context: { key, start, end },
        });
      }
      for (let at = start; at < Math.min(end ?? length, length); at += CHUNK_BYTES) {
        yield new Uint8Array(bytes.subarray(at, Math.min(at + CHUNK_BYTES, end ?? length)));
      }
    },

    async head(key) {
      assertKey(key);
      const object = objects.get(key);
      return object === undefined
        ? null
        : { etag: object.etag, sizeBytes: object.bytes.byteLength };
    },

    async put(key, body, { ifAbsent, ifMatch, sha256 } = {}) {
      assertKey(key);
      for (const other of objects.keys()) {
        if (other.startsWith(`${key}/`) || key.startsWith(`${other}/`)) {
          throw new InvalidInputError('a key is another key’s folder', { context: { key, other } });
        }
      }
      const bytes = await collect(body);
      if (sha256 !== undefined && sha256Hex(bytes) !== sha256) {
        throw new IntegrityError(
          `a body is not what was announced: expected ${sha256}, got ${sha256Hex(bytes)}`,
          { context: { key } },
        );
      }
      const current = objects.get(key)?.etag ?? null;
      if (
        (ifAbsent === true && current !== null) ||
        (ifMatch !== undefined && current !== ifMatch)
      ) {
        return { committed: false, current };
      }
      const etag = `memory-${++versions}`;
      objects.set(key, { bytes, etag });
      return { committed: true, etag };
    },

    async *list(prefix, { after, limit = Infinity } = {}) {
      const keys = [...objects.keys()]
        .filter((key) => key.startsWith(prefix) && (after === undefined || key > after))
        .sort((a, b) => (a < b ? -1 : 1));
      for (const key of keys.slice(0, limit)) {
        const object = objects.get(key);
        if (object === undefined) continue; // deleted while the listing ran
        const entry: ObjectEntry = { key, sizeBytes: object.bytes.byteLength };
        yield entry;
      }
    },

    async delete(key) {
      assertKey(key);
      objects.delete(key);
    },
  };
}

const CHUNK_BYTES = 64 * 1024;

async function collect(body: Body): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return new Uint8Array(body);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(new Uint8Array(chunk));
  return new Uint8Array(Buffer.concat(chunks));
}

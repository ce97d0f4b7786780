import { createHash } from 'node:crypto';
import { IntegrityError, NotFoundError } from '../../errors';
import type { Digest } from '../../schemas/ids';
import { readCheckpointFile, readCheckpointManifest } from '../../storage/checkpoints';
import { checkpointFolder } from '../../storage/keys';
import type { ObjectStore } from '../../storage/object-store';
import type { ModelFolder } from './model-files';

/** What a checkpoint of this kind says of itself in its manifest. */
export const LANGUAGE_KIND = 'language';

/**
 * A committed checkpoint as a model's folder. A file that is opened is read once from end to end against its hash, and then by place: its
 * bytes are never in memory as a whole.
 *
 * @throws {NotFoundError} if no such checkpoint was committed.
 */
export async function checkpointModelFolder(
  store: ObjectStore,
  digest: Digest,
): Promise<ModelFolder> {
  const { files } = await readCheckpointManifest(store, digest);
  return {
    name: digest,
    read: (file) => readCheckpointFile(store, digest, file),
    async open(file) {
      const expected = Object.hasOwn(files, file) ? files[file] : undefined;
      if (expected === undefined) {
        throw new NotFoundError('the checkpoint has no such file', { context: { digest, file } });
      }
      const key = checkpointFolder(digest) + file;
      await checkHash(store, key, expected.sha256);
      return {
        sizeBytes: expected.sizeBytes,
        async read(offset, length) {
          const end = Math.min(offset + length, expected.sizeBytes);
          const bytes = new Uint8Array(Math.max(0, end - offset));
          if (bytes.length === 0) return bytes;
          let at = 0;
          for await (const chunk of store.getStream(key, { start: offset, end })) {
            bytes.set(chunk, at);
            at += chunk.byteLength;
          }
          return bytes.subarray(0, at);
        },
        close: async () => undefined,
      };
    },
    list: async () => Object.keys(files),
  };
}

async function checkHash(store: ObjectStore, key: string, sha256: string): Promise<void> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of store.getStream(key)) hash.update(chunk);
  } catch (cause) {
    if (!(cause instanceof NotFoundError)) throw cause;
    throw new IntegrityError('a file of a committed checkpoint is missing', {
      context: { key },
      cause,
    });
  }
  const got = hash.digest('hex');
  if (got === sha256) return;
  throw new IntegrityError('a file of a checkpoint was changed', {
    context: { key, expected: sha256, got },
    damage: { key, expected: `sha256 ${sha256}`, sha256, gotSha256: got },
  });
}

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { IntegrityError, InvalidInputError, NotFoundError } from '../../errors';
import { Digest } from '../../schemas/ids';
import { readCheckpointFile, readCheckpointManifest } from '../../storage/checkpoints';
import { checkpointFolder } from '../../storage/keys';
import type { Manifest } from '../../storage/manifest';
import type { ObjectStore } from '../../storage/object-store';
import { adaptedFolder } from './lora/adapter-files';
import type { ModelFolder } from './model-folder';

/** What a checkpoint of this kind says of itself in its manifest. */
export const LANGUAGE_KIND = 'language';

/** What the manifest of a language checkpoint says of it. */
const LanguageMetadata = z.looseObject({
  kind: z.literal(LANGUAGE_KIND),
  /** The checkpoint that this one is an adapter over; left out, and it is a whole model. */
  base: Digest.optional(),
});

/**
 * A committed checkpoint as a model's folder; that of an adapter is over its base's. A file that is opened is read once from end to end against
 * its hash, and then by place: its bytes are never in memory as a whole.
 *
 * @throws {NotFoundError} if no such checkpoint was committed; {InvalidInputError} if it is one of another kind.
 */
export async function checkpointModelFolder(
  store: ObjectStore,
  digest: Digest,
): Promise<ModelFolder> {
  const { own, base } = await readLanguageCheckpoint(store, digest);
  return base === null ? own : adaptedFolder(await checkpointModelFolder(store, base), own);
}

export interface LanguageCheckpoint {
  /** What was committed under this digest: the whole model, or an adapter. */
  readonly own: ModelFolder;
  /** The checkpoint that it adapts; null for a whole model. */
  readonly base: Digest | null;
}

/** As `checkpointModelFolder`, an adapter and its base apart. */
export async function readLanguageCheckpoint(
  store: ObjectStore,
  digest: Digest,
): Promise<LanguageCheckpoint> {
  const { files, metadata } = await readCheckpointManifest(store, digest);
  const parsed = LanguageMetadata.safeParse(metadata);
  if (!parsed.success) {
    throw new InvalidInputError('the checkpoint is no language model', {
      context: { checkpoint: digest, kind: JSON.stringify(metadata['kind']) },
    });
  }
  return { own: committedFolder(store, digest, files), base: parsed.data.base ?? null };
}

function committedFolder(
  store: ObjectStore,
  digest: Digest,
  files: Manifest['files'],
): ModelFolder {
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

import { DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { IntegrityError, InvalidInputError, TransientError } from '../../errors';
import { assertKey, isKey } from '../../storage/keys';
import type { ObjectEntry, ObjectStore, StoredObject } from '../../storage/object-store';
import { openObject } from './reading';
import { createRequests } from './requests';
import type { S3Options } from './s3-client';
import { hasName } from './s3-errors';
import { etagOf, type Version, versionOf } from './versions';
import { putObject } from './writing';

export interface S3ObjectStoreOptions extends S3Options {
  /**
   * A longer body is sent in parts of this size, at least 5 MiB and at most 10,000 of them. Four are in memory at once.
   *
   * @default 16 MiB
   */
  readonly partBytes?: number | undefined;
}

const MIB = 1024 * 1024;
const PART_BYTES = 16 * MIB;
const SMALLEST_PART_BYTES = 5 * MIB; // S3's own
const LONGEST_PREFIX = 120;
const PAGE = 1_000; // S3's own

/**
 * Objects in a bucket of S3, or of a server that speaks its protocol and keeps its promises. README.md in this folder says how it keeps
 * those of the port. Opens nothing before its first request, and holds nothing: there is no close.
 */
export function createS3ObjectStore(options: S3ObjectStoreOptions): ObjectStore {
  const { partBytes = PART_BYTES } = options;
  if (partBytes < SMALLEST_PART_BYTES) {
    throw new InvalidInputError(
      `a part is too small: expected at least ${SMALLEST_PART_BYTES} bytes, got ${partBytes}`,
    );
  }
  const folder = folderOf(options.prefix);
  const requests = createRequests(options);
  const { bucket } = requests;

  const s3KeyOf = (key: string): string => {
    assertKey(key);
    return folder + key;
  };

  const headOf = async (key: string, s3Key: string): Promise<Version | null> => {
    const answer = await requests.send('look at an object', key, async (client, abortSignal) => {
      try {
        return await client.send(new HeadObjectCommand({ Bucket: bucket, Key: s3Key }), {
          abortSignal,
        });
      } catch (error) {
        // The answer to a HEAD has no body, so an absent bucket looks the same; whoever opens a store probes it first.
        if (hasName(error, 'NotFound')) return null;
        throw error;
      }
    });
    return answer === null ? null : versionOf(answer);
  };

  const read = async (key: string, s3Key: string): Promise<StoredObject> => {
    const { version, chunks } = await openObject(requests, key, s3Key);
    const bytes = new Uint8Array(version.sizeBytes);
    let at = 0;
    for await (const chunk of chunks()) {
      bytes.set(chunk, at);
      at += chunk.byteLength;
    }
    return { bytes, etag: etagOf(version) };
  };

  return {
    async get(key) {
      const s3Key = s3KeyOf(key);
      try {
        return await read(key, s3Key);
      } catch (error) {
        // Whoever is told that an object is damaged takes it out of use: so it must not have been the way here.
        if (error instanceof IntegrityError) return read(key, s3Key);
        throw error;
      }
    },

    async *getStream(key, range) {
      const { chunks } = await openObject(requests, key, s3KeyOf(key), range);
      yield* chunks();
    },

    async head(key) {
      const version = await headOf(key, s3KeyOf(key));
      return version === null ? null : { etag: etagOf(version), sizeBytes: version.sizeBytes };
    },

    async put(key, body, putOptions) {
      const s3Key = s3KeyOf(key);
      const head = (): Promise<Version | null> => headOf(key, s3Key);
      return putObject({ requests, key, s3Key, head, partBytes }, body, putOptions);
    },

    async *list(prefix, { after, limit = Infinity } = {}) {
      let startAfter = after === undefined ? undefined : folder + after;
      for (let left = limit; left > 0;) {
        const page = await requests.send('list objects', undefined, (client, abortSignal) =>
          client.send(
            new ListObjectsV2Command({
              Bucket: bucket,
              Prefix: folder + prefix,
              MaxKeys: Math.min(PAGE, left),
              ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
            }),
            { abortSignal },
          ),
        );
        const found = page.Contents ?? [];
        for (const { Key: s3Key = '', Size: sizeBytes = 0 } of found) {
          const entry: ObjectEntry = { key: s3Key.slice(folder.length), sizeBytes };
          if (!isKey(entry.key)) continue; // no put made it: a console's folder marker, say
          yield entry;
          left--;
        }
        if (page.IsTruncated !== true) return;
        startAfter = found.at(-1)?.Key;
        if (startAfter === undefined) {
          throw new TransientError('the S3 store listed an empty page that is not the last one', {
            context: { bucket, prefix },
          });
        }
      }
    },

    async delete(key) {
      const s3Key = s3KeyOf(key);
      await requests.send('delete an object', key, async (client, abortSignal) => {
        try {
          await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: s3Key }), {
            abortSignal,
          });
        } catch (error) {
          if (!hasName(error, 'NoSuchKey')) throw error; // some servers say so
        }
      });
    },
  };
}

/** The same rules as for keys, so that a prefix needs no encoding either. */
function folderOf(prefix: string | undefined): string {
  if (prefix === undefined || prefix === '') return '';
  assertKey(prefix);
  if (prefix.length <= LONGEST_PREFIX) return `${prefix}/`;
  throw new InvalidInputError(
    `a prefix is too long: expected at most ${LONGEST_PREFIX} characters, got ${prefix.length}`,
  );
}

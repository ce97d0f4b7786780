import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { IntegrityError, InvalidInputError, TransientError } from '../../errors';
import type { ByteRange } from '../../storage/object-store';
import type { Requests } from './requests';
import { waitMs } from './retrying';
import { classify, hasName, isLostCondition } from './s3-errors';
import { type Version, versionOf } from './versions';

export interface OpenObject {
  readonly version: Version;
  /** Once. */
  readonly chunks: () => AsyncIterable<Uint8Array>;
}

const DOING = 'read an object';

/** One version of an object, or a range of it: whatever happens to the connection or to the key, its chunks are of that version. */
export async function openObject(
  requests: Requests,
  key: string,
  s3Key: string,
  { start, end }: ByteRange = { start: 0 },
): Promise<OpenObject> {
  if (start < 0 || (end !== undefined && end <= start)) throw misfit(key, start, end);
  const isWhole = start === 0 && end === undefined;
  const get = (range: { Range?: string; IfMatch?: string }): Promise<GetObjectCommandOutput> =>
    requests.raw((client, abortSignal) =>
      client.send(new GetObjectCommand({ Bucket: requests.bucket, Key: s3Key, ...range }), {
        abortSignal,
      }),
    );

  let first: GetObjectCommandOutput;
  try {
    first = await get(isWhole ? {} : { Range: toHttpRange(start, end) });
  } catch (error) {
    if (!hasName(error, 'InvalidRange')) throw requests.toError(error, DOING, key);
    // No range fits an object of no bytes, not even the one that begins at its beginning.
    if (start > 0) throw misfit(key, start, end);
    first = await get({}).catch((again: unknown) => {
      throw requests.toError(again, DOING, key);
    });
    if (first.ContentLength !== 0) throw replaced(key);
  }
  const version = versionOf(first);
  const stop = start + version.sizeBytes;

  async function* chunks(): AsyncIterable<Uint8Array> {
    const hash = isWhole && version.sha256 !== undefined ? createHash('sha256') : undefined;
    let body = first.Body as Readable;
    let failures = 0;
    for (let at = start; ;) {
      try {
        for await (const chunk of requests.chunksOf(body)) {
          at += chunk.byteLength;
          failures = 0;
          hash?.update(chunk);
          yield chunk;
        }
        if (at === stop) break;
        throw endedEarly(stop - at);
      } catch (error) {
        const failure = classify(error);
        failures += 1;
        if (failure?.isRetried !== true || failures >= requests.attempts) {
          throw requests.toError(error, DOING, key);
        }
        await sleep(waitMs(failures, failure, error));
        // Equal ETags of S3 are equal bytes, so what follows fits what was read, even after a replacement by the same content.
        const rest = await get({ Range: toHttpRange(at, stop), IfMatch: version.s3Etag }).catch(
          (again: unknown) => {
            throw isLostCondition(again) ? replaced(key) : requests.toError(again, DOING, key);
          },
        );
        body = rest.Body as Readable;
      }
    }
    const sha256 = hash?.digest('hex');
    if (sha256 === version.sha256 || sha256 === undefined) return;
    throw new IntegrityError(
      `an object is not what was written: expected sha256 ${version.sha256}, got ${sha256}`,
      { context: { bucket: requests.bucket, key } },
    );
  }
  return { version, chunks };
}

/** HTTP's ranges end with a byte that is in them. */
function toHttpRange(start: number, end: number | undefined): string {
  return `bytes=${start}-${end === undefined ? '' : end - 1}`;
}

function endedEarly(missing: number): Error {
  return Object.assign(new Error(`an answer ended ${missing} bytes early`), {
    code: 'ERR_STREAM_PREMATURE_CLOSE',
  });
}

function misfit(key: string, start: number, end: number | undefined): InvalidInputError {
  return new InvalidInputError('a range does not fit: expected it within the object', {
    context: { key, start, end },
  });
}

function replaced(key: string): TransientError {
  return new TransientError(
    'an object was replaced or deleted after the connection over which it was read was cut: begin again',
    { context: { key } },
  );
}

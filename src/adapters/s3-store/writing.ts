import { createHash, randomInt } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { IntegrityError, InvalidInputError, TransientError } from '../../errors';
import type { Body, PutCondition, PutOptions, PutOutcome } from '../../storage/object-store';
import { PartReader } from './part-reader';
import type { Requests } from './requests';
import { hasName, isLostCondition } from './s3-errors';
import { etagOf, metadataOf, newWriteId, s3EtagOf, unquoted, type Version } from './versions';

export interface WriteTarget {
  readonly requests: Requests;
  readonly key: string;
  readonly s3Key: string;
  /** What a HEAD says of the key; null if it is absent. */
  readonly head: () => Promise<Version | null>;
  readonly partBytes: number;
}

const DOING = 'write an object';
const MAX_PARTS = 10_000; // S3's own
const PARTS_AT_ONCE = 4;
const VARIED_BYTES = 1024 * 1024;

/** One put: a single request if the body fits into one part, else a multi-part upload; README.md says what a crash leaves. */
export async function putObject(
  target: WriteTarget,
  body: Body,
  { sha256, ...condition }: PutOptions = {},
): Promise<PutOutcome> {
  const isSwap = condition.ifMatch !== undefined;
  const isLarge = body instanceof Uint8Array && body.byteLength > target.partBytes;
  // S3 compares contents, so whether this is still the version that was meant, not just one with the same bytes, is for us to see. And
  // nobody wants to upload gigabytes for a condition that is lost already.
  const current = isSwap || (isLarge && condition.ifAbsent === true) ? await target.head() : null;
  if (isSwap || current !== null) {
    const lost = refusal(condition, current);
    if (lost !== null) return lost;
  }
  // Part sizes are part of S3's ETag: so that of a large swap is one that the key never had.
  const partBytes = target.partBytes + (isSwap ? randomInt(VARIED_BYTES) : 0);
  const reader = new PartReader(body, partBytes);
  try {
    const first = await reader.next();
    if (!reader.isDone) return await putParts(target, first, reader, condition, sha256);
    const hash = createHash('sha256').update(first).digest('hex');
    assertAnnounced(target, hash, sha256);
    return isSwap && current !== null && mayShareEtag(current, first, hash)
      ? await putParts(target, first, reader, condition, hash)
      : await putWhole(target, first, condition, hash);
  } finally {
    await reader.close();
  }
}

/**
 * Whether a single put of these bytes might get the ETag that S3 gives to the current version, so that a second swap of the same version
 * would not be refused. A multi-part upload of the same bytes gets another one, even of a single part.
 */
function mayShareEtag(
  { s3Etag, sha256, sizeBytes }: Version,
  bytes: Uint8Array,
  hash: string,
): boolean {
  const isSame = sha256 === undefined ? sizeBytes === bytes.byteLength : sha256 === hash;
  return isSame && !s3Etag.includes('-');
}

async function putWhole(
  target: WriteTarget,
  bytes: Uint8Array,
  condition: PutCondition,
  sha256: string,
): Promise<PutOutcome> {
  const { requests, s3Key } = target;
  const writeId = newWriteId();
  return commit(target, writeId, (onFailure) =>
    requests.raw(
      (client, abortSignal) =>
        client.send(
          new PutObjectCommand({
            Bucket: requests.bucket,
            Key: s3Key,
            Body: bytes,
            ContentLength: bytes.byteLength,
            ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'), // the server compares
            Metadata: metadataOf(writeId, sha256),
            ...toHeaders(condition),
          }),
          { abortSignal },
        ),
      { sizeBytes: bytes.byteLength, onFailure },
    ),
  );
}

async function putParts(
  target: WriteTarget,
  first: Uint8Array,
  reader: PartReader,
  condition: PutCondition,
  announced: string | undefined,
): Promise<PutOutcome> {
  const { requests, s3Key } = target;
  const writeId = newWriteId();
  const place = { Bucket: requests.bucket, Key: s3Key };
  const { UploadId } = await requests.send(DOING, target.key, (client, abortSignal) =>
    client.send(
      new CreateMultipartUploadCommand({
        ...place,
        ChecksumAlgorithm: 'SHA256',
        Metadata: metadataOf(writeId, announced),
      }),
      { abortSignal },
    ),
  );
  const upload = { ...place, UploadId };
  let isCommitted = false;
  try {
    const { parts, sha256 } = await sendParts(target, upload, first, reader);
    assertAnnounced(target, sha256, announced);
    const outcome = await commit(target, writeId, (onFailure) =>
      requests.raw(
        (client, abortSignal) =>
          client.send(
            new CompleteMultipartUploadCommand({
              ...upload,
              MultipartUpload: { Parts: parts },
              ...toHeaders(condition),
            }),
            { abortSignal },
          ),
        { onFailure },
      ),
    );
    isCommitted = outcome.committed;
    return outcome;
  } finally {
    if (!isCommitted) await abandon(requests, upload);
  }
}

interface Upload {
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string | undefined;
}

/** Sends the parts, a few at once. When it returns or throws, no request for a part is under way. */
async function sendParts(
  { requests, key, partBytes }: WriteTarget,
  upload: Upload,
  first: Uint8Array,
  reader: PartReader,
): Promise<{ parts: CompletedPart[]; sha256: string }> {
  const whole = createHash('sha256');
  const parts: CompletedPart[] = [];
  const underWay = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | undefined;
  const sendPart = async (PartNumber: number, bytes: Uint8Array): Promise<void> => {
    const ChecksumSHA256 = createHash('sha256').update(bytes).digest('base64');
    const part = { PartNumber, ChecksumSHA256 };
    const { ETag } = await requests.raw(
      (client, abortSignal) =>
        client.send(
          new UploadPartCommand({
            ...upload,
            ...part,
            Body: bytes,
            ContentLength: bytes.byteLength,
          }),
          { abortSignal },
        ),
      { sizeBytes: bytes.byteLength },
    );
    parts[PartNumber - 1] = { ...part, ETag };
  };
  try {
    for (let bytes = first, number = 1; ; number++) {
      if (number > MAX_PARTS) {
        throw new InvalidInputError(
          `a body is too long for this store: expected at most ${MAX_PARTS} parts of ${partBytes} bytes`,
          { context: { key } },
        );
      }
      whole.update(bytes);
      const sending: Promise<void> = sendPart(number, bytes)
        .catch((error: unknown) => {
          failed ??= { error: requests.toError(error, DOING, key) };
        })
        .finally(() => underWay.delete(sending));
      underWay.add(sending);
      if (underWay.size >= PARTS_AT_ONCE) await Promise.race(underWay);
      if (failed !== undefined || reader.isDone) break;
      bytes = await reader.next();
    }
  } finally {
    await Promise.all(underWay);
  }
  if (failed !== undefined) throw failed.error;
  return { parts, sha256: whole.digest('hex') };
}

/**
 * Sends the request that makes a version visible, and says what became of it. A request that failed may have been carried out all the same;
 * then the next one loses against our own write, which is known by its id.
 *
 * @throws {TransientError} if it may have been, and something else is there now: what became of ours can no longer be seen.
 */
async function commit(
  { requests, key, head }: WriteTarget,
  writeId: string,
  send: (onFailure: (failure: { mayHaveCommitted: boolean }) => void) => Promise<{ ETag?: string | undefined }>, // prettier-ignore
): Promise<PutOutcome> {
  let mayHaveCommitted = false;
  try {
    const { ETag } = await send((failure) => (mayHaveCommitted ||= failure.mayHaveCommitted));
    return { committed: true, etag: etagOf({ s3Etag: unquoted(ETag), writeId }) };
  } catch (error) {
    // An upload that is gone was completed by the attempt whose answer got lost, or else was aborted.
    const isLost = isLostCondition(error);
    if (!isLost && !(mayHaveCommitted && hasName(error, 'NoSuchUpload'))) {
      throw requests.toError(error, DOING, key);
    }
    const current = await head();
    if (current?.writeId === writeId) return { committed: true, etag: etagOf(current) };
    if (!isLost) throw requests.toError(error, DOING, key);
    if (!mayHaveCommitted) {
      return { committed: false, current: current === null ? null : etagOf(current) };
    }
    throw new TransientError(
      'the answer to a put got lost, and now the key holds something else: whether it was committed is not known; read the key and decide again',
      { context: { bucket: requests.bucket, key }, cause: error },
    );
  }
}

/** Frees the parts. If that fails they cost storage until the bucket's lifecycle rule takes them, but are in no listing. */
async function abandon(requests: Requests, upload: Upload): Promise<void> {
  try {
    await requests.once((client, abortSignal) =>
      client.send(new AbortMultipartUploadCommand(upload), { abortSignal }),
    );
  } catch {
    // What made us give the upload up is the error that counts; this one leaves nothing that a reader sees.
  }
}

function toHeaders({ ifAbsent, ifMatch }: PutCondition): {
  IfNoneMatch?: string;
  IfMatch?: string;
} {
  if (ifAbsent === true) return { IfNoneMatch: '*' };
  return ifMatch === undefined ? {} : { IfMatch: `"${s3EtagOf(ifMatch)}"` };
}

/** The outcome of a put whose condition does not hold of `current`; null if it holds. */
function refusal({ ifAbsent, ifMatch }: PutCondition, current: Version | null): PutOutcome | null {
  const etag = current === null ? null : etagOf(current);
  const isLost =
    (ifAbsent === true && etag !== null) || (ifMatch !== undefined && etag !== ifMatch);
  return isLost ? { committed: false, current: etag } : null;
}

function assertAnnounced(
  { key }: WriteTarget,
  sha256: string,
  announced: string | undefined,
): void {
  if (announced === undefined || announced === sha256) return;
  throw new IntegrityError(
    `a body is not what was announced: expected sha256 ${announced}, got ${sha256}; nothing was written`,
    { context: { key } },
  );
}

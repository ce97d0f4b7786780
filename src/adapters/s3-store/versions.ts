import { randomBytes } from 'node:crypto';
import type { Etag } from '../../storage/object-store';

/** What an object of ours says about itself, in its metadata (`x-amz-meta-…`). */
const WRITE_ID = 'ratchet-write';
const SHA256 = 'ratchet-sha256';

/** S3's part of the facts of one version. */
export interface Version {
  /** As S3 gives it, but without quotes: a hash of the bytes, so equal for equal bytes. */
  readonly s3Etag: string;
  /** Unique to the put that wrote it. Undefined for an object that something else put into the bucket. */
  readonly writeId: string | undefined;
  /** Of the whole body, where it was known when the put began. */
  readonly sha256: string | undefined;
  /** Of the whole object, or of the range that was asked for. */
  readonly sizeBytes: number;
}

export function newWriteId(): string {
  return randomBytes(12).toString('hex');
}

export function metadataOf(writeId: string, sha256: string | undefined): Record<string, string> {
  return { [WRITE_ID]: writeId, ...(sha256 === undefined ? {} : { [SHA256]: sha256 }) };
}

export function versionOf(answer: {
  readonly ETag?: string | undefined;
  readonly Metadata?: Record<string, string> | undefined;
  readonly ContentLength?: number | undefined;
}): Version {
  return {
    s3Etag: unquoted(answer.ETag),
    writeId: answer.Metadata?.[WRITE_ID],
    sha256: answer.Metadata?.[SHA256],
    sizeBytes: answer.ContentLength ?? 0,
  };
}

/**
 * Our etag: S3's, which is a hash of the content, and the id of the write, which tells versions of equal bytes apart. An object without
 * an id has only the first; it never changes but by someone who goes around this store.
 */
export function etagOf({ s3Etag, writeId }: Pick<Version, 's3Etag' | 'writeId'>): Etag {
  return writeId === undefined ? s3Etag : `${s3Etag}.${writeId}`;
}

export function s3EtagOf(etag: Etag): string {
  const dot = etag.lastIndexOf('.');
  return dot < 0 ? etag : etag.slice(0, dot);
}

export function unquoted(etag: string | undefined): string {
  return (etag ?? '').replace(/^"|"$/g, '');
}

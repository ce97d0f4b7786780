import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { type FailureClass, toStoreError } from './s3-errors';
import { retrying } from './retrying';
import { createS3Client, type S3Options } from './s3-client';
import { Slots } from './slots';

/** Sends requests within their time, again where that may help, and turns what fails in the end into one of our errors. */
export interface Requests {
  readonly bucket: string;
  readonly attempts: number;
  /** One attempt, with the SDK's error. `sizeBytes` is what the request carries. */
  once<T>(
    send: (client: S3Client, signal: AbortSignal) => Promise<T>,
    sizeBytes?: number,
  ): Promise<T>;
  /** As many as it takes, with the SDK's error. */
  raw<T>(
    send: (client: S3Client, signal: AbortSignal) => Promise<T>,
    options?: { readonly sizeBytes?: number; readonly onFailure?: (failure: FailureClass) => void },
  ): Promise<T>;
  /** As many as it takes, with our error. */
  send<T>(doing: string, key: string | undefined, send: (client: S3Client, signal: AbortSignal) => Promise<T>): Promise<T>; // prettier-ignore
  toError(error: unknown, doing: string, key?: string): unknown;
  /** The chunks of an answer's body. One that stalls longer than an answer may is a failure. */
  chunksOf(body: Readable): AsyncIterable<Uint8Array>;
}

const REQUEST_TIMEOUT_MS = 20_000;
const SLOWEST_BYTES_PER_MS = 256;
const ATTEMPTS = 5;
const AT_ONCE = 64;

export function createRequests(options: S3Options): Requests {
  const client = createS3Client(options);
  const slots = new Slots(AT_ONCE);
  const { bucket, endpoint, requestTimeoutMs = REQUEST_TIMEOUT_MS, attempts = ATTEMPTS } = options;

  const requests: Requests = {
    bucket,
    attempts,

    once: (send, sizeBytes = 0) =>
      // The time of a request begins when it has its slot: a thousand at once wait for each other, not for the server.
      slots.use(async () => {
        const timeoutMs = requestTimeoutMs + sizeBytes / SLOWEST_BYTES_PER_MS;
        const patience = new AbortController();
        const timer = setTimeout(() => patience.abort(), timeoutMs);
        try {
          return await send(client, patience.signal);
        } catch (error) {
          // The SDK says only that it was aborted.
          throw patience.signal.aborted
            ? timeoutError(`no answer within ${timeoutMs} ms`, error)
            : error;
        } finally {
          clearTimeout(timer);
        }
      }),

    raw: (send, { sizeBytes = 0, onFailure } = {}) =>
      retrying(attempts, () => requests.once(send, sizeBytes), onFailure),

    async send(doing, key, send) {
      try {
        return await requests.raw(send);
      } catch (error) {
        throw requests.toError(error, doing, key);
      }
    },

    toError: (error, doing, key) => toStoreError(error, { doing, bucket, key, endpoint }),

    async *chunksOf(body) {
      const iterator = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
      try {
        for (;;) {
          // The clock stands while the reader is busy with a chunk.
          const timer = setTimeout(
            () => body.destroy(timeoutError(`no more bytes within ${requestTimeoutMs} ms`)),
            requestTimeoutMs,
          );
          const step = await iterator.next().finally(() => clearTimeout(timer));
          if (step.done === true) return;
          yield step.value;
        }
      } finally {
        body.destroy(); // read to its end, the connection is free again already
      }
    },
  };
  return requests;
}

function timeoutError(message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { name: 'TimeoutError' });
}

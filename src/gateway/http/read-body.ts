import type { IncomingMessage } from 'node:http';
import { badRequest, RequestError } from './request-error';
import { assertDecodable, decodeBody } from './decode-body';
import type { GatewayContext } from './gateway-context';
import { headerOf } from './gateway-context';

/** The request's body as text. @throws {RequestError} as `readBytes` does. */
export async function readBody(c: GatewayContext, limitBytes: number): Promise<string> {
  return (await readBytes(c, limitBytes)).toString('utf8');
}

/**
 * The request's body, unpacked if it came packed (`content-encoding`).
 *
 * @throws {RequestError} 413 as soon as more than `limitBytes` are announced, have come or were unpacked, the rest unread; 415 for a packing
 *   that is not known, before anything is read.
 */
export async function readBytes(c: GatewayContext, limitBytes: number): Promise<Buffer> {
  const encoding = headerOf(c, 'content-encoding');
  const isPacked = encoding !== undefined && !/^(?:identity)?$/i.test(encoding);
  if (isPacked) assertDecodable(encoding);
  if (Number(headerOf(c, 'content-length') ?? 0) > limitBytes) throw tooLarge(limitBytes);
  // Behind a server the bytes are taken from the socket's own stream: half the price of a web stream over it.
  const incoming = c.env?.incoming;
  const chunks =
    incoming === undefined
      ? await readWebStream(c.req.raw.body, limitBytes)
      : await readIncoming(incoming, limitBytes);
  const bytes = chunks.length === 1 ? asBuffer(chunks[0]) : Buffer.concat(chunks);
  if (!isPacked || bytes.length === 0) return bytes;
  return decodeBody(bytes, encoding, limitBytes, () => tooLarge(limitBytes));
}

function readIncoming(incoming: IncomingMessage, limitBytes: number): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    const settle = (then: () => void): void => {
      incoming.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut);
      then();
    };
    const onData = (chunk: Uint8Array): void => {
      sizeBytes += chunk.length;
      chunks.push(chunk);
      if (sizeBytes <= limitBytes) return;
      incoming.pause();
      settle(() => reject(tooLarge(limitBytes)));
    };
    const onEnd = (): void => settle(() => resolve(chunks));
    const onCut = (): void =>
      settle(() =>
        reject(badRequest('the connection ended before the body did', 'incomplete_body')),
      );
    incoming.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut);
  });
}

async function readWebStream(
  body: ReadableStream<Uint8Array> | null,
  limitBytes: number,
): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  if (body === null) return chunks;
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > limitBytes) throw tooLarge(limitBytes);
    chunks.push(chunk);
  }
  return chunks;
}

function asBuffer(bytes: Uint8Array | undefined): Buffer {
  if (bytes === undefined) return Buffer.alloc(0);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function tooLarge(limitBytes: number): RequestError {
  return new RequestError(`the body is too large: expected at most ${limitBytes} bytes`, {
    status: 413,
    reason: 'request_too_large',
  });
}

import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { badRequest, RequestError } from './request-error';

interface DecodeOptions {
  readonly maxOutputLength: number;
  readonly params?: Readonly<Record<number, number>>;
}
type Decode = (bytes: Uint8Array, options: DecodeOptions) => Promise<Buffer>;

/** RFC 9659: what is sent over HTTP needs no larger window. The decoder would otherwise set aside what the sender likes. */
const MAX_WINDOW_LOG = 23;

const decoders: Readonly<Record<string, Decode | undefined>> = {
  gzip: promisify(zlib.gunzip),
  'x-gzip': promisify(zlib.gunzip),
  br: promisify(zlib.brotliDecompress),
  // RFC 9110 says zlib's format, and some send bare deflate; the lower half of zlib's first byte is always 8.
  deflate: (bytes, options) =>
    promisify(((bytes[0] ?? 0) & 0x0f) === 8 ? zlib.inflate : zlib.inflateRaw)(bytes, options),
  zstd: zstdDecoder(),
};

/** Node has it from 22.15 on. */
function zstdDecoder(): Decode | undefined {
  const { zstdDecompress } = zlib as unknown as {
    readonly zstdDecompress?: (
      bytes: Uint8Array,
      options: DecodeOptions,
      done: (error: Error | null, result: Buffer) => void,
    ) => void;
  };
  const parameter = (zlib.constants as Readonly<Record<string, number>>)['ZSTD_d_windowLogMax'];
  if (zstdDecompress === undefined || parameter === undefined) return undefined;
  const decode = promisify(zstdDecompress);
  return (bytes, options) => decode(bytes, { ...options, params: { [parameter]: MAX_WINDOW_LOG } });
}

/** What bodies may be packed with here. */
export const ENCODINGS: readonly string[] = Object.keys(decoders).filter(
  (name) => decoders[name] !== undefined && name !== 'x-gzip',
);

/** @throws {RequestError} 415 if a body that is packed so cannot be read. */
export function assertDecodable(encoding: string): void {
  if (decoderOf(encoding) !== undefined) return;
  throw new RequestError(
    `the body’s content-encoding is not known: expected one of ${ENCODINGS.join(', ')}, once, or none`,
    { status: 415, reason: 'unsupported_content_encoding' },
  );
}

/**
 * The body as it was before it was packed. What it unpacks to is bounded too, and nothing beyond the bound is ever in memory.
 *
 * @param tooLarge what is thrown above `limitBytes`.
 * @throws {RequestError} 400 if it is not packed as it says.
 */
export async function decodeBody(
  bytes: Buffer,
  encoding: string,
  limitBytes: number,
  tooLarge: () => RequestError,
): Promise<Buffer> {
  const decode = decoderOf(encoding);
  if (decode === undefined) return bytes;
  try {
    return await decode(bytes, { maxOutputLength: limitBytes });
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw badRequest(
      `the body is not packed as its content-encoding says: expected ${encoding.slice(0, 20)}`,
      'invalid_content_encoding',
    );
  }
}

function decoderOf(encoding: string): Decode | undefined {
  const name = encoding.trim().toLowerCase();
  return Object.hasOwn(decoders, name) ? decoders[name] : undefined;
}

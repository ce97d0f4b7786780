import { crc32 } from 'node:zlib';

/**
 * A record on disk. The header has a checksum of its own, so that a damaged length is told from a record that was cut off:
 *
 *     0  magic "RSP"; kind, 1 byte     4  length of the payload, u32
 *     8  CRC-32 of the payload, u32    12 CRC-32 of bytes 0 to 12, u32    16 payload
 *
 * All numbers are little-endian.
 */
export const HEADER_BYTES = 16;
const MAGIC = [0x52, 0x53, 0x50]; // RSP

/** `file`: the first record of each file; `part`: id, line end, text; `entry`: key it opens, key it closes, text. */
export const KINDS = ['file', 'part', 'entry'] as const;
export type Kind = (typeof KINDS)[number];

export interface Frame {
  readonly kind: Kind;
  readonly payload: Buffer;
}

export function encodeFrame(kind: Kind, text: string): Buffer {
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + length);
  frame.write(text, HEADER_BYTES, 'utf8');
  frame.set(MAGIC, 0);
  frame.writeUInt8(KINDS.indexOf(kind) + 1, 3);
  frame.writeUInt32LE(length, 4);
  frame.writeUInt32LE(crc32(frame.subarray(HEADER_BYTES)), 8);
  frame.writeUInt32LE(crc32(frame.subarray(0, 12)), 12);
  return frame;
}

/** Bytes `from` (inclusive) to `to` (exclusive). */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

export interface Scan {
  readonly frames: readonly Frame[];
  /** What is not part of a whole record, each as long as it goes. */
  readonly damaged: readonly Stretch[];
  /** At the end of the file: the beginning of a record that was cut off, or zeros. That is what an interrupted write leaves. */
  readonly torn: Stretch | null;
}

/**
 * Every whole record. Behind damage it goes on at the next whole record, found by its magic and its checksums, so one flipped bit costs
 * one record.
 */
export function scanFrames(bytes: Buffer): Scan {
  const scan = emptyScan();
  for (const piece of pieces(bytes)) add(scan, piece);
  return scan;
}

/** The same, letting others have their turn: a file holds thousands of records, and live calls wait for the same thread. */
export async function scanFramesInTurns(bytes: Buffer): Promise<Scan> {
  const scan = emptyScan();
  let count = 0;
  for (const piece of pieces(bytes)) {
    add(scan, piece);
    if (++count % PIECES_PER_TURN === 0) await new Promise(setImmediate);
  }
  return scan;
}

const PIECES_PER_TURN = 500;

type Piece = { readonly frame: Frame } | { readonly damaged: Stretch } | { readonly torn: Stretch };

interface OpenScan {
  readonly frames: Frame[];
  readonly damaged: Stretch[];
  torn: Stretch | null;
}

const emptyScan = (): OpenScan => ({ frames: [], damaged: [], torn: null });

function add(scan: OpenScan, piece: Piece): void {
  if ('frame' in piece) scan.frames.push(piece.frame);
  else if ('damaged' in piece) scan.damaged.push(piece.damaged);
  else scan.torn = piece.torn;
}

function* pieces(bytes: Buffer): Generator<Piece> {
  let at = 0;
  let damagedFrom: number | null = null;
  while (at < bytes.length) {
    const found = readFrame(bytes, at);
    if (found === null) {
      if (damagedFrom === null && isUnfinished(bytes.subarray(at))) {
        yield { torn: { from: at, to: bytes.length } };
        return;
      }
      damagedFrom ??= at;
      const next = bytes.indexOf(Buffer.from(MAGIC), at + 1);
      at = next === -1 ? bytes.length : next;
      continue;
    }
    if (damagedFrom !== null) yield { damaged: { from: damagedFrom, to: at } };
    damagedFrom = null;
    yield { frame: found.frame };
    at = found.end;
  }
  if (damagedFrom !== null) yield { damaged: { from: damagedFrom, to: bytes.length } };
}

function readFrame(bytes: Buffer, at: number): { frame: Frame; end: number } | null {
  if (at + HEADER_BYTES > bytes.length || !hasWholeHeader(bytes, at)) return null;
  const end = at + HEADER_BYTES + bytes.readUInt32LE(at + 4);
  if (end > bytes.length) return null;
  const payload = bytes.subarray(at + HEADER_BYTES, end);
  if (crc32(payload) !== bytes.readUInt32LE(at + 8)) return null;
  const kind = KINDS[bytes.readUInt8(at + 3) - 1];
  if (kind === undefined) return null; // of a later version
  return { frame: { kind, payload }, end };
}

function hasWholeHeader(bytes: Buffer, at: number): boolean {
  return (
    MAGIC.every((byte, i) => bytes[at + i] === byte) &&
    crc32(bytes.subarray(at, at + 12)) === bytes.readUInt32LE(at + 12)
  );
}

/**
 * Whether the bytes are part of a header, or a sound header and part of its payload; or only zeros, which a power failure leaves where
 * the file had grown but its bytes were not written.
 */
function isUnfinished(rest: Buffer): boolean {
  if (rest.every((byte) => byte === 0)) return true;
  if (rest.length < HEADER_BYTES) {
    return MAGIC.every((byte, i) => i >= rest.length || rest[i] === byte);
  }
  return hasWholeHeader(rest, 0) && HEADER_BYTES + rest.readUInt32LE(4) > rest.length;
}

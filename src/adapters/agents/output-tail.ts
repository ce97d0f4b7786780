/** The end of a stream of bytes, in bounded memory. */
export interface OutputTail {
  push(chunk: Buffer): void;
  /** At least the last `limitBytes` bytes, or all there were. */
  bytes(): Buffer;
  /** Whether something was forgotten. */
  readonly isTruncated: boolean;
}

/** Keeps whole chunks and forgets the oldest as long as the rest holds `limitBytes`: nothing is copied as it comes. */
export function createOutputTail(limitBytes: number): OutputTail {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  let isTruncated = false;
  return {
    push(chunk) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      while (chunks[0] !== undefined && sizeBytes - chunks[0].length >= limitBytes) {
        sizeBytes -= chunks[0].length;
        chunks.shift();
        isTruncated = true;
      }
    },
    bytes: () => Buffer.concat(chunks),
    get isTruncated() {
      return isTruncated;
    },
  };
}

const LINE_FEED = 0x0a;
const WHITE_SPACE = new Set([0x09, LINE_FEED, 0x0d, 0x20]);

/** The last line with anything but white space in it; null if there is none, or if its beginning was forgotten. */
export function lastLine(tail: OutputTail): string | null {
  const bytes = tail.bytes();
  let end = bytes.length;
  while (end > 0 && WHITE_SPACE.has(bytes[end - 1] as number)) end -= 1;
  if (end === 0) return null;
  const start = bytes.lastIndexOf(LINE_FEED, end - 1) + 1;
  if (start === 0 && tail.isTruncated) return null;
  return bytes.toString('utf8', start, end).trim();
}

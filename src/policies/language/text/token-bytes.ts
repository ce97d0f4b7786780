/** How the tokens of a vocabulary stand for bytes. */
export type TokenSpelling = 'byte-level' | 'sentencepiece';

/**
 * GPT-2's alphabet: bytes that are printable in Latin-1 stand for themselves, the others for the characters from U+0100 on, in order.
 * Source: https://github.com/openai/gpt-2/blob/master/src/encoder.py
 */
const BYTE_OF: ReadonlyMap<string, number> = (() => {
  const isPlain = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const bytes = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    bytes.set(String.fromCharCode(isPlain(byte) ? byte : next++), byte);
  }
  return bytes;
})();

/** @returns null for a token that is not spelled like this. */
export function bytesOfToken(token: string, spelling: TokenSpelling): Uint8Array | null {
  if (spelling === 'sentencepiece') {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(token)?.[1];
    return byte === undefined
      ? Buffer.from(token.replaceAll('▁', ' '))
      : Uint8Array.of(Number.parseInt(byte, 16));
  }
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF.get(token[i] as string);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}

/** A copy in memory of its own, that can be handed over. (Buffer's slice is a view of a shared pool.) */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  return Buffer.isBuffer(copy) ? new Uint8Array(copy) : copy;
}

import type { Tensor, Tensors } from '../../ports/tensor-runtime';

/** A copy in memory of its own, that can be handed over. (Buffer's slice is a view of a shared pool.) */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  return Buffer.isBuffer(copy) ? new Uint8Array(copy) : copy;
}

/** Tensors in memory of their own: `slice` takes just the view's part, where cloning would send the whole buffer behind it. */
export function ownTensors(tensors: Tensors): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: data.slice() } as Tensor,
    ]),
  );
}

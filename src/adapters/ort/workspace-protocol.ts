import type { Tensor, Tensors } from '../../ports/tensor-runtime';

/** What a workspace asks of its thread. `id` names the call, and the session that a `load` gives. */
export type ToWorkspace = { readonly id: number } & (
  | { readonly type: 'write'; readonly tensors: Tensors }
  | { readonly type: 'read' | 'clear'; readonly names: readonly string[] }
  | { readonly type: 'load'; readonly model: Uint8Array; readonly name: string }
  | {
      readonly type: 'run';
      readonly session: number;
      readonly feeds: Tensors;
    }
  | { readonly type: 'release'; readonly session: number }
);

export interface FromWorkspace {
  readonly type: 'done';
  readonly id: number;
  /** Of a `read` or a `run`. */
  readonly tensors: Record<string, Tensor>;
}

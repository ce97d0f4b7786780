import type { Tensor, Tensors } from '../../ports/tensor-runtime';

/** What the runtime asks of its thread. `id` names the call, and the session that a `load` gives. */
export type ToThread =
  | {
      readonly type: 'load';
      readonly id: number;
      readonly model: Uint8Array;
      readonly name: string;
    }
  | {
      readonly type: 'run';
      readonly id: number;
      readonly session: number;
      readonly feeds: Tensors;
      readonly fetches: readonly string[] | undefined;
    }
  | { readonly type: 'release'; readonly id: number; readonly session: number };

export type FromThread =
  | {
      readonly type: 'loaded';
      readonly id: number;
      readonly inputNames: readonly string[];
      readonly outputNames: readonly string[];
    }
  | { readonly type: 'ran'; readonly id: number; readonly outputs: Record<string, Tensor> }
  | { readonly type: 'released'; readonly id: number };

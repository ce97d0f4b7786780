import type { Shape } from '../autodiff/graph';

/** A tensor with its values, row-major. A bool is one byte, 0 or 1. */
export type Tensor =
  | { readonly dtype: 'float32'; readonly shape: Shape; readonly data: Float32Array }
  | { readonly dtype: 'float64'; readonly shape: Shape; readonly data: Float64Array }
  | { readonly dtype: 'int64'; readonly shape: Shape; readonly data: BigInt64Array }
  | { readonly dtype: 'bool'; readonly shape: Shape; readonly data: Uint8Array };

export type Tensors = Readonly<Record<string, Tensor>>;

export interface LoadOptions {
  /** What messages call the model. @default 'model' */
  readonly name?: string;
}

/** Runs ONNX models. What runs where (thread, processor) is the adapter's matter and the caller's choice of adapter. */
export interface TensorRuntime {
  /**
   * @param model bytes of an ONNX ModelProto; not modified, and free to be reused once this resolves.
   * @throws {InvalidInputError} if the model is refused.
   */
  load(model: Uint8Array, options?: LoadOptions): Promise<TensorSession>;
  /** Ends all sessions. Nothing of the runtime is left running once it resolves; calls still open are rejected. */
  close(): Promise<void>;
}

/** A loaded model. Runs of one session happen one after the other. */
export interface TensorSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * @param feeds one tensor per input, of exactly its dtype and shape. Not modified; leave their data alone until the run resolved.
   * @param fetches the outputs wanted; by default all.
   * @returns tensors that are the caller's own.
   * @throws {InvalidInputError | ShapeError} if feeds or fetches do not fit the model; {TransientError} if the place where it runs died.
   */
  run(feeds: Tensors, fetches?: readonly string[]): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

import type { LoadOptions, Tensor, Tensors } from './tensor-runtime';

/**
 * Named tensors that stay where models compute, and the models that work on them. For what is large and changes at each run, such
 * as parameters, gradients and moments: only the rest of a run's inputs and outputs travels.
 *
 * A model's input is taken from the workspace when there is a tensor of its name; its output `next.<name>` is written over the tensor
 * `<name>`, in the same memory. The model must be made for that (src/autodiff/in-place.ts): it may not read the old values
 * after it began to write the new ones.
 */
export interface TensorWorkspace {
  /** Puts tensors in, in place of those of the same names. They are handed over: leave their data alone afterwards. */
  write(tensors: Tensors): Promise<void>;
  /** @returns copies. @throws {InvalidInputError} if there is no tensor of a name. */
  read(names: readonly string[]): Promise<Record<string, Tensor>>;
  /** Sets tensors to 0. */
  clear(names: readonly string[]): Promise<void>;
  /** @throws {InvalidInputError} if the model is refused. */
  load(model: Uint8Array, options?: LoadOptions): Promise<WorkspaceSession>;
  /** Ends all sessions and frees all tensors; calls still open are rejected. */
  close(): Promise<void>;
}

export interface WorkspaceSession {
  /**
   * @param feeds the inputs that the workspace does not have. Not modified; leave their data alone until the run resolved.
   * @returns the outputs that do not stay in the workspace.
   * @throws {InvalidInputError | ShapeError} if feeds or the workspace's tensors do not fit the model; nothing was computed then. A run that
   *   fails under way, such as at an index out of range, is an InvalidInputError too, and may leave what it writes half written.
   *   {TransientError} if the place where it runs died.
   */
  run(feeds: Tensors): Promise<Record<string, Tensor>>;
  release(): Promise<void>;
}

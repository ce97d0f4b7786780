import type { TrainedPolicy, TrainingJob, TrainingProgress } from '../../policies/policy-kind';
import type { SerializedError } from './serialized-error';

/** How ONNX Runtime runs inside the training thread. */
export interface TrainingThreadOptions {
  /** Threads of one operator. Results are only bit-identical for the same number. */
  readonly intraOpThreads: number;
  /** Spin-waiting is faster alone and starves the neighbours of a small machine. */
  readonly allowSpinning: boolean;
}

/** What a training thread is started with. */
export interface ThreadJob {
  readonly job: TrainingJob;
  readonly thread: TrainingThreadOptions;
  readonly wantsStates: boolean;
  readonly stateEvery?: number;
  readonly resumeFrom?: Uint8Array;
}

/** `stored` answers a `state`: training goes on. `handOver` asks for a last state, answered by `handedOver` once it is stored. */
export type ToThread =
  { readonly type: 'abort' } | { readonly type: 'handOver' } | { readonly type: 'stored' };

export type FromThread =
  | { readonly type: 'progress'; readonly progress: TrainingProgress }
  | { readonly type: 'state'; readonly state: Uint8Array }
  | { readonly type: 'handedOver' }
  | { readonly type: 'done'; readonly trained: TrainedPolicy }
  | { readonly type: 'failed'; readonly error: SerializedError };

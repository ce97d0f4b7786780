import type { ChoiceConfig } from '../schemas/choice-config';
import type { Digest } from '../schemas/ids';
import type { Demonstration } from '../schemas/task';
import type { CreateConfig, TrainConfig } from '../schemas/train-config';
import type { ObjectStore } from '../storage/object-store';
import type { TensorRuntime } from '../ports/tensor-runtime';
import type { PolicyServer } from './policy-server';

/** A checkpoint's files by name: `config.json`, `model.safetensors`, `optimizer.safetensors`, `training_state.json`. */
export type CheckpointFiles = ReadonlyMap<string, Uint8Array>;

/**
 * One decision and what it earned: all that training ever sees of a rollout. There is no task, no reference and no label
 * in it, and nothing that could be joined with one.
 */
export interface Feedback {
  /** What the policy read (see `requestText`). */
  readonly text: string;
  /** The arms that the request could take, by name. Decisions with the same arms should share one array. */
  readonly available: readonly string[];
  readonly arm: string;
  /** The probability that the arm was drawn with. */
  readonly propensity: number;
  /** In [0, 1]. */
  readonly reward: number;
}

/** Supervised training of a new policy from worked examples; or a prior, from which only feedback leads on. */
export interface CreateJob {
  readonly type: 'create';
  /** Probability by arm. With it there is nothing to train, and demonstrations are not looked at. */
  readonly prior?: Readonly<Record<string, number>>;
  readonly config: ChoiceConfig;
  readonly demonstrations: readonly Demonstration[];
  readonly create: CreateConfig;
  readonly seed: number;
  readonly dataset: Digest;
}

/** One iteration of training from reward alone. */
export interface TrainJob {
  readonly type: 'train';
  readonly parent: { readonly digest: Digest; readonly files: CheckpointFiles };
  readonly feedback: readonly Feedback[];
  /** The replay buffer that the previous iteration returned; null before the first. */
  readonly replay: Uint8Array | null;
  readonly train: TrainConfig;
  readonly seed: number;
  /** From 1; keys the random numbers, together with the seed. */
  readonly iteration: number;
  readonly dataset: Digest;
}

export type TrainingJob = CreateJob | TrainJob;

export interface TrainedPolicy {
  readonly files: CheckpointFiles;
  /** The replay buffer with this iteration's feedback, as JSON Lines: for the next iteration. */
  readonly replay: Uint8Array;
  readonly optimizerSteps: number;
  /** Rows that the optimizer has seen, repetitions counted. */
  readonly examples: number;
  /** Finite numbers only. */
  readonly metrics: Readonly<Record<string, number>>;
}

export interface TrainingProgress {
  /** Optimizer steps. */
  readonly done: number;
  readonly of: number;
  /** Mean over the batch of the last step. */
  readonly loss: number;
}

export interface TrainingOptions {
  /** Told of every optimizer step. */
  readonly onProgress?: (progress: TrainingProgress) => void;
  /** Is handed a state to resume from; training waits for it. A state is only good for the very same job. */
  readonly onState?: (state: Uint8Array) => void | Promise<void>;
  /** Optimizer steps between two states. */
  readonly stateEvery?: number;
  readonly resumeFrom?: Uint8Array;
  readonly signal?: AbortSignal;
  /** Once aborted, training ends after the step under way: its state goes to `onState`, then the signal's reason is thrown. */
  readonly handOver?: AbortSignal;
}

export interface PolicyServerDeps {
  readonly store: ObjectStore;
  readonly runtime: TensorRuntime;
  /** Checkpoints kept loaded at once. */
  readonly maxLoaded?: number;
}

/** What a kind of policy has to bring: how it comes to life and learns, and how its checkpoints are served. */
export interface PolicyKind {
  readonly kind: string;
  /**
   * Runs a job to its end. The same job gives the same files, bit for bit, on the same build, processor type and thread
   * count, however often it was resumed on the way.
   *
   * @throws {InvalidInputError} if the job is wrong, or `resumeFrom` belongs to another job.
   * @throws {NumericalError} naming the optimizer step at which a loss or gradient was not finite.
   * @throws the signal's reason once it is aborted, and that of `handOver` once the state it asked for is stored.
   */
  run(job: TrainingJob, runtime: TensorRuntime, options?: TrainingOptions): Promise<TrainedPolicy>;
  createServer(deps: PolicyServerDeps): PolicyServer;
}

import type { TrainedPolicy, TrainingJob, TrainingOptions } from '../policies/policy-kind';

/** Runs training jobs off the caller's thread, which has heartbeats to send. */
export interface Trainer {
  /**
   * Runs one job to its end; the contract is that of `PolicyKind.run`. When it settles, for whatever reason, nothing of the
   * job is still running.
   *
   * @throws the signal's reason once it is aborted, errors of the taxonomy with their class, and TransientError if the
   *   thread died without a word.
   */
  train(job: TrainingJob, options?: TrainingOptions): Promise<TrainedPolicy>;
}

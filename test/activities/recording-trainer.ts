import type { TrainedPolicy, TrainingJob, TrainingOptions } from '../../src/policies/policy-kind';
import type { Trainer } from '../../src/ports/trainer';
import { sha256Hex } from '../../src/storage/digest';

export interface RecordingTrainer extends Trainer {
  readonly jobs: TrainingJob[];
  readonly options: TrainingOptions[];
}

/** All that a training sees, as text: files and other bytes as the characters that they are. */
export function textOfJob(job: TrainingJob): string {
  return JSON.stringify(job, (_, value: unknown) => {
    if (value instanceof Map) return Object.fromEntries(value) as unknown;
    return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value;
  });
}

/** Trains nothing: keeps the jobs that it was given, and makes a checkpoint that names each byte of its job. */
export function createRecordingTrainer(
  during: (options: TrainingOptions) => Promise<void> = async () => undefined,
): RecordingTrainer {
  const jobs: TrainingJob[] = [];
  const options: TrainingOptions[] = [];
  return {
    jobs,
    options,
    async train(job, trainingOptions = {}): Promise<TrainedPolicy> {
      jobs.push(job);
      options.push(trainingOptions);
      await during(trainingOptions);
      return {
        files: new Map([['model.safetensors', Buffer.from(sha256Hex(textOfJob(job)))]]),
        replay: Buffer.from('{"replay":true}\n'),
        optimizerSteps: 3,
        examples: job.type === 'train' ? job.feedback.length : job.demonstrations.length,
        metrics: { loss: 0.5 },
      };
    },
  };
}

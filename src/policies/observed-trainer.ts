import type { Meter } from '../ports/meter';
import type { Trainer } from '../ports/trainer';

/** The same trainer; its steps are counted as they are taken, its examples when a job is done. */
export function observeTrainer(trainer: Trainer, meter: Meter): Trainer {
  return {
    async train(job, options = {}) {
      const labels = { job: job.type };
      const trained = await trainer.train(job, {
        ...options,
        onProgress: (progress) => {
          meter.add('trainingSteps', 1, labels); // the contract: told of every step
          options.onProgress?.(progress);
        },
      });
      meter.add('trainingExamples', trained.examples, labels);
      return trained;
    },
  };
}

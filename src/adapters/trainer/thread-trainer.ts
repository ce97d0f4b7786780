import { Worker } from 'node:worker_threads';
import { InvalidInputError, TransientError } from '../../errors';
import type { TrainedPolicy, TrainingJob, TrainingOptions } from '../../policies/policy-kind';
import type { Trainer } from '../../ports/trainer';
import { distPath } from '../dist-path';
import type { FromThread, ThreadJob, ToThread, TrainingThreadOptions } from './protocol';
import { fromSerializedError } from './serialized-error';

/** How long an aborted thread may take to finish its step before it is ended. */
const ABORT_GRACE_MS = 10_000;

export interface ThreadTrainerOptions {
  /** Threads of one operator. Results are only bit-identical for the same number. */
  readonly intraOpThreads: number;
  /** @default false */
  readonly allowSpinning?: boolean;
  /** Starts the thread; tests watch it. */
  readonly spawn?: (job: ThreadJob) => Worker;
}

/** The compiled thread, with its job. */
export function spawnThread(workerData: ThreadJob): Worker {
  return new Worker(distPath('src/adapters/trainer/training-thread.js'), {
    workerData,
    name: 'training',
  });
}

/**
 * Trains in a worker thread of its own per job: ONNX Runtime blocks its thread, and the caller's has heartbeats to send.
 * A settled call has waited for its thread's end.
 */
export function createThreadTrainer({
  intraOpThreads,
  allowSpinning = false,
  spawn = spawnThread,
}: ThreadTrainerOptions): Trainer {
  if (!Number.isInteger(intraOpThreads) || intraOpThreads < 1) {
    throw new InvalidInputError('intraOpThreads: expected a positive integer', {
      context: { got: intraOpThreads },
    });
  }
  return {
    train: (job, options = {}) =>
      trainInThread(job, options, { intraOpThreads, allowSpinning }, spawn),
  };
}

async function trainInThread(
  job: TrainingJob,
  { onProgress, onState, stateEvery, resumeFrom, signal, handOver }: TrainingOptions,
  thread: TrainingThreadOptions,
  spawn: (job: ThreadJob) => Worker,
): Promise<TrainedPolicy> {
  signal?.throwIfAborted();
  const workerData: ThreadJob = {
    job,
    thread,
    wantsStates: onState !== undefined,
    ...(stateEvery === undefined ? {} : { stateEvery }),
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
  };
  const worker = spawn(workerData);
  const post = (message: ToThread): void => worker.postMessage(message);
  let outcome: { trained: TrainedPolicy } | { error: unknown } | null = null;
  let grace: NodeJS.Timeout | null = null;
  const stop = (): void => {
    post({ type: 'abort' });
    grace ??= setTimeout(() => void worker.terminate(), ABORT_GRACE_MS);
  };
  /** What the caller's own callback threw ends the job, and is what the caller gets. */
  const fail = (error: unknown): void => {
    outcome = { error };
    stop();
  };
  const onAbort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const onHandOver = (): void => post({ type: 'handOver' });
  if (handOver?.aborted === true) onHandOver();
  handOver?.addEventListener('abort', onHandOver, { once: true });

  worker.on('message', (message: FromThread) => {
    switch (message.type) {
      case 'progress':
        if (outcome !== null) return;
        try {
          onProgress?.(message.progress);
        } catch (error) {
          fail(error);
        }
        return;
      case 'state':
        if (outcome !== null) return;
        Promise.resolve(message.state)
          .then(onState)
          .then(() => post({ type: 'stored' }), fail);
        return;
      case 'handedOver':
        outcome ??= { error: handOver?.reason };
        return;
      case 'done':
        outcome ??= { trained: message.trained };
        return;
      case 'failed':
        outcome ??= { error: fromSerializedError(message.error) };
        return;
    }
  });
  worker.on('error', (error) => {
    outcome ??= { error: new TransientError('the training thread failed', { cause: error }) };
  });
  try {
    const exitCode = await new Promise<number>((resolve) => worker.once('exit', resolve));
    const ended = outcome as { trained: TrainedPolicy } | { error: unknown } | null; // set by the handlers above
    if (ended === null) {
      throw new TransientError('the training thread ended without a result', {
        context: { exitCode },
      });
    }
    if ('error' in ended) throw ended.error;
    return ended.trained;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    handOver?.removeEventListener('abort', onHandOver);
    if (grace !== null) clearTimeout(grace);
  }
}

import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { choicePolicy } from '../../policies/choice/policy';
import type { TrainedPolicy, TrainingOptions } from '../../policies/policy-kind';
import { createInThreadRuntime } from '../ort/in-thread-runtime';
import type { FromThread, ThreadJob, ToThread } from './protocol';
import { toSerializedError } from './serialized-error';

// The body of a training thread: one job, then it ends by itself.

async function main(port: MessagePort): Promise<void> {
  const { job, thread, wantsStates, stateEvery, resumeFrom } = workerData as ThreadJob;
  const post = (message: FromThread, transfer: readonly ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);
  const abort = new AbortController();
  const handOver = new AbortController();
  let stored: (() => void) | null = null;
  port.on('message', (message: ToThread) => {
    if (message.type === 'handOver') return handOver.abort();
    if (message.type === 'abort') abort.abort();
    // Whoever waits for a state to be stored goes on in both cases, and meets the abort at the next step.
    stored?.();
    stored = null;
  });
  const runtime = createInThreadRuntime({
    threads: thread.intraOpThreads,
    allowSpinning: thread.allowSpinning,
  });
  const options: TrainingOptions = {
    signal: abort.signal,
    handOver: handOver.signal,
    onProgress: (progress) => post({ type: 'progress', progress }),
    ...(stateEvery === undefined ? {} : { stateEvery }),
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
    ...(wantsStates && {
      onState: (state) =>
        new Promise<void>((resolve) => {
          stored = resolve;
          post({ type: 'state', state }, [state.buffer as ArrayBuffer]);
        }),
    }),
  };
  try {
    const trained = await choicePolicy.run(job, runtime, options);
    post({ type: 'done', trained }, buffersOf(trained));
  } catch (error) {
    if (handOver.signal.aborted && error === handOver.signal.reason) post({ type: 'handedOver' });
    else post({ type: 'failed', error: toSerializedError(error) });
  } finally {
    await runtime.close();
    port.close();
  }
}

/** Files are moved, not copied, unless they share their buffer with something else (small Buffers do). */
function buffersOf({ files, replay }: TrainedPolicy): ArrayBuffer[] {
  return [...files.values(), replay]
    .filter((bytes) => bytes.byteLength === bytes.buffer.byteLength)
    .map((bytes) => bytes.buffer as ArrayBuffer);
}

if (parentPort === null) throw new Error('training-thread runs as a worker thread only');
void main(parentPort);

import { Worker } from 'node:worker_threads';
import { InvalidInputError } from '../../errors';
import type { TensorRuntime, TensorSession } from '../../ports/tensor-runtime';
import { distPath } from '../dist-path';
import { CallingThread } from './calling-thread';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';
import { ownBytes, ownTensors } from './own-memory';
import type { FromThread, ToThread } from './thread-protocol';

type Thread = CallingThread<ToThread, FromThread>;

/**
 * ONNX Runtime in a worker thread, since its `run` blocks the event loop that it is called on. All sessions of the runtime
 * share the thread, so their runs are queued.
 *
 * Feeds are copied once (a caller may go on writing to them), outputs are handed over. If the thread dies, open calls and
 * its sessions reject with TransientError; the next `load` starts a new thread.
 *
 * Close it before the process ends: a thread that is stopped from outside while ONNX Runtime computes takes the whole
 * process down (`terminate called after throwing an instance of 'Napi::Error'`).
 *
 * @param spawn starts the thread.
 * @throws {InvalidInputError} if an option is out of range; {NotFoundError} if the project was not built.
 */
export async function createThreadRuntime(
  options: OrtOptions = {},
  { spawn = spawnThread }: { readonly spawn?: (options: OrtOptions) => Worker } = {},
): Promise<TensorRuntime> {
  sessionOptions(options); // refuses bad options here and not at the first load
  let isClosed = false;
  let thread: Thread | null = new CallingThread(spawn(options));

  return {
    async load(model, { name = 'model' } = {}) {
      if (isClosed)
        throw new InvalidInputError('the runtime is closed', { context: { model: name } });
      if (thread === null || thread.isDead) thread = new CallingThread(spawn(options));
      return loadInto(thread, model, name);
    },
    async close() {
      isClosed = true;
      const closing = thread;
      thread = null;
      await closing?.close();
    },
  };
}

function spawnThread(options: OrtOptions): Worker {
  return new Worker(distPath('src/adapters/ort/thread.js'), { workerData: options });
}

async function loadInto(thread: Thread, model: Uint8Array, name: string): Promise<TensorSession> {
  const own = ownBytes(model);
  const { call: session, reply } = thread.call({ type: 'load', model: own, name }, [
    own.buffer as ArrayBuffer,
  ]);
  const { inputNames, outputNames } = (await reply) as Extract<FromThread, { type: 'loaded' }>;
  let isReleased = false;
  return {
    inputNames,
    outputNames,
    async run(feeds, fetches) {
      if (isReleased)
        throw new InvalidInputError('the session was released', { context: { model: name } });
      const copies = ownTensors(feeds);
      const transfer = Object.values(copies).map(({ data }) => data.buffer as ArrayBuffer);
      const ran = await thread.call({ type: 'run', session, feeds: copies, fetches }, transfer)
        .reply;
      return (ran as Extract<FromThread, { type: 'ran' }>).outputs;
    },
    async release() {
      if (isReleased || thread.isDead) return;
      isReleased = true;
      await thread.call({ type: 'release', session }).reply;
    },
  };
}

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { InvalidInputError, TransientError, describeError } from '../../errors';
import type { Tensor, TensorRuntime, Tensors, TensorSession } from '../../ports/tensor-runtime';
import { distPath } from '../dist-path';
import { fromSerializedError } from '../trainer/serialized-error';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';
import type { FromThread, ToThread } from './thread-protocol';

/** A call that waits for the thread's answer. */
interface Call {
  readonly resolve: (reply: FromThread) => void;
  readonly reject: (error: Error) => void;
}

/** The part of a message that is the caller's; its id is given when it is sent. */
type Request = ToThread extends infer M
  ? M extends { id: number }
    ? Omit<M, 'id'>
    : never
  : never;

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
  let thread: Thread | null = new Thread(spawn(options));

  return {
    async load(model, { name = 'model' } = {}) {
      if (isClosed)
        throw new InvalidInputError('the runtime is closed', { context: { model: name } });
      if (thread === null || thread.isDead) thread = new Thread(spawn(options));
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
  const bytes = model.slice();
  // Buffer's slice is a view of a shared pool, which must not be handed over.
  const own = Buffer.isBuffer(bytes) ? new Uint8Array(bytes) : bytes;
  const { call: session, reply } = thread.call({ type: 'load', model: own, name }, [own.buffer]);
  const { inputNames, outputNames } = (await reply) as Extract<FromThread, { type: 'loaded' }>;
  let isReleased = false;
  return {
    inputNames,
    outputNames,
    async run(feeds, fetches) {
      if (isReleased)
        throw new InvalidInputError('the session was released', { context: { model: name } });
      const copies = copyOf(feeds);
      const transfer = Object.values(copies).map(({ data }) => data.buffer as ArrayBuffer);
      const ran = await thread.call({ type: 'run', session, feeds: copies, fetches }, transfer)
        .reply;
      return (ran as Extract<FromThread, { type: 'ran' }>).outputs;
    },
    async release() {
      if (isReleased || thread.isDead) return;
      isReleased = true;
      await thread.call({ type: 'release', session }, []).reply;
    },
  };
}

/** Tensors in memory of their own: `slice` takes just the view's part, where cloning would send the whole buffer behind it. */
function copyOf(feeds: Tensors): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: data.slice() } as Tensor,
    ]),
  );
}

/** A worker thread with the calls that it has not answered. */
class Thread {
  readonly #worker: Worker;
  readonly #calls = new Map<number, Call>();
  #nextId = 0;
  /** Why no answer will come any more; null while the thread runs. */
  #end: TransientError | null = null;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (reply: FromThread) => this.#settle(reply));
    worker.on('error', (error) => {
      this.#die(
        new TransientError(`the thread of ONNX Runtime failed: ${describeError(error)}`, {
          cause: error,
        }),
      );
    });
    worker.on('exit', (exitCode) => {
      this.#die(
        new TransientError('the thread of ONNX Runtime ended: load the model again', {
          context: { exitCode },
        }),
      );
    });
  }

  get isDead(): boolean {
    return this.#end !== null;
  }

  call(
    request: Request,
    transfer: readonly ArrayBuffer[],
  ): { call: number; reply: Promise<FromThread> } {
    const id = this.#nextId++;
    const reply = new Promise<FromThread>((resolve, reject) => {
      if (this.#end !== null) return reject(this.#end);
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id } satisfies ToThread, transfer);
    });
    return { call: id, reply };
  }

  async close(): Promise<void> {
    if (this.#end !== null) return;
    const exited = once(this.#worker, 'exit');
    this.#die(new TransientError('the runtime was closed while a call was open'));
    // Asked, not terminated: terminating a thread inside native code aborts the process.
    this.#worker.postMessage({ type: 'close' } satisfies ToThread);
    await exited;
  }

  #settle(reply: FromThread): void {
    const call = this.#calls.get(reply.id);
    this.#calls.delete(reply.id);
    if (reply.type === 'failed') call?.reject(fromSerializedError(reply.error));
    else call?.resolve(reply);
  }

  #die(reason: TransientError): void {
    this.#end ??= reason;
    for (const { reject } of this.#calls.values()) reject(this.#end);
    this.#calls.clear();
  }
}

import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { TransientError, describeError } from '../../errors';
import type { SerializedError } from '../trainer/serialized-error';
import { fromSerializedError } from '../trainer/serialized-error';

/** What asks the thread to end once everything before it is done. */
export interface Close {
  readonly type: 'close';
}
export interface Failed {
  readonly type: 'failed';
  readonly id: number;
  readonly error: SerializedError;
}

/** A call that waits for the thread's answer. */
interface Call<From> {
  readonly resolve: (reply: From) => void;
  readonly reject: (error: Error) => void;
}

/** The part of a message that is the caller's; its id is given when it is sent. */
export type Request<To> = To extends { readonly id: number } ? Omit<To, 'id'> : never;

/**
 * A worker thread with the calls that it has not answered. It answers each message of `To` that has an id by one of `From` with
 * the same id, or by `Failed`; what it sends without an id is an event. When it ends, for whatever reason, all open calls reject with
 * TransientError.
 */
export class CallingThread<
  To extends { readonly type: string },
  From extends { readonly id: number },
  Event extends object = never,
> {
  readonly #worker: Worker;
  readonly #calls = new Map<number, Call<From>>();
  #nextId = 0;
  /** Why no answer will come any more; null while the thread runs. */
  #end: TransientError | null = null;

  constructor(worker: Worker, onEvent?: (event: Event) => void) {
    this.#worker = worker;
    worker.on('message', (message: From | Failed | Event) => {
      if ('id' in message) this.#settle(message);
      else onEvent?.(message);
    });
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
    request: Request<To>,
    transfer: readonly ArrayBuffer[] = [],
  ): { call: number; reply: Promise<From> } {
    const id = this.#nextId++;
    const reply = new Promise<From>((resolve, reject) => {
      if (this.#end !== null) return reject(this.#end);
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id }, transfer);
    });
    return { call: id, reply };
  }

  async close(): Promise<void> {
    if (this.#end !== null) return;
    const exited = once(this.#worker, 'exit');
    this.#die(new TransientError('the runtime was closed while a call was open'));
    // Asked, not terminated: terminating a thread inside native code aborts the process.
    this.#worker.postMessage({ type: 'close' } satisfies Close);
    await exited;
  }

  #settle(reply: From | Failed): void {
    const call = this.#calls.get(reply.id);
    this.#calls.delete(reply.id);
    if (isFailed(reply)) call?.reject(fromSerializedError(reply.error));
    else call?.resolve(reply);
  }

  #die(reason: TransientError): void {
    this.#end ??= reason;
    for (const { reject } of this.#calls.values()) reject(this.#end);
    this.#calls.clear();
  }
}

function isFailed(reply: object): reply is Failed {
  return 'type' in reply && reply.type === 'failed';
}

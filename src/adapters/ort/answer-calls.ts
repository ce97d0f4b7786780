import type { MessagePort } from 'node:worker_threads';
import { toSerializedError } from '../trainer/serialized-error';
import type { Close, Failed } from './calling-thread';

/**
 * The thread's side of CallingThread: answers one call after the other until it is told to close.
 *
 * @param answer what failed is thrown again on the caller's side. @param transfer the buffers that a reply hands over: nobody else may hold them.
 */
export function answerCalls<To extends { readonly type: string; readonly id: number }, From>(
  port: MessagePort,
  {
    answer,
    transfer,
    close,
  }: {
    readonly answer: (message: To) => Promise<From>;
    readonly transfer: (reply: From) => readonly ArrayBuffer[];
    readonly close: () => Promise<void>;
  },
): void {
  async function handle(message: To | Close): Promise<void> {
    if (!('id' in message)) {
      await close();
      port.close(); // nothing is left to wait for, so the thread ends
      return;
    }
    let reply: From;
    try {
      reply = await answer(message);
    } catch (error) {
      port.postMessage({
        type: 'failed',
        id: message.id,
        error: toSerializedError(error),
      } satisfies Failed);
      return;
    }
    port.postMessage(reply, transfer(reply));
  }

  let last = Promise.resolve();
  port.on('message', (message: To | Close) => {
    last = last.then(() => handle(message));
  });
}

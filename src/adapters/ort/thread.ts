import { parentPort, workerData } from 'node:worker_threads';
import { InvalidInputError } from '../../errors';
import type { TensorSession } from '../../ports/tensor-runtime';
import { toSerializedError } from '../trainer/serialized-error';
import { createInThreadRuntime } from './in-thread-runtime';
import type { OrtOptions } from './options';
import type { FromThread, ToThread } from './thread-protocol';

// The body of the thread that createThreadRuntime starts: one call after the other, until it is told to close.

const port = parentPort;
if (port === null) throw new InvalidInputError('this module only runs as a worker thread');

const runtime = createInThreadRuntime(workerData as OrtOptions);
const sessions = new Map<number, TensorSession>();

function sessionOf(id: number): TensorSession {
  const session = sessions.get(id);
  if (session === undefined) throw new InvalidInputError('the session was released');
  return session;
}

async function answer(message: Exclude<ToThread, { type: 'close' }>): Promise<FromThread> {
  const { id } = message;
  switch (message.type) {
    case 'load': {
      const session = await runtime.load(message.model, { name: message.name });
      sessions.set(id, session);
      return {
        type: 'loaded',
        id,
        inputNames: session.inputNames,
        outputNames: session.outputNames,
      };
    }
    case 'run':
      return {
        type: 'ran',
        id,
        outputs: await sessionOf(message.session).run(message.feeds, message.fetches),
      };
    case 'release':
      await sessions.get(message.session)?.release();
      sessions.delete(message.session);
      return { type: 'released', id };
  }
}

async function handle(message: ToThread): Promise<void> {
  if (message.type === 'close') {
    await runtime.close();
    port?.close(); // nothing is left to wait for, so the thread ends
    return;
  }
  let reply: FromThread;
  try {
    reply = await answer(message);
  } catch (error) {
    reply = { type: 'failed', id: message.id, error: toSerializedError(error) }; // rethrown by the caller's side
  }
  // Outputs are fresh memory that nobody else holds: handing it over costs no copy.
  const transfer =
    reply.type === 'ran'
      ? Object.values(reply.outputs).map(({ data }) => data.buffer as ArrayBuffer)
      : [];
  port?.postMessage(reply, transfer);
}

let last = Promise.resolve();
port.on('message', (message: ToThread) => {
  last = last.then(() => handle(message));
});

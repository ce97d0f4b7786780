import { parentPort, workerData } from 'node:worker_threads';
import { InvalidInputError } from '../../errors';
import type { TensorSession } from '../../ports/tensor-runtime';
import { answerCalls } from './answer-calls';
import { createInThreadRuntime } from './in-thread-runtime';
import type { OrtOptions } from './options';
import type { FromThread, ToThread } from './thread-protocol';

// The body of the thread that createThreadRuntime starts.

if (parentPort === null) throw new InvalidInputError('this module only runs as a worker thread');

const runtime = createInThreadRuntime(workerData as OrtOptions);
const sessions = new Map<number, TensorSession>();

function sessionOf(id: number): TensorSession {
  const session = sessions.get(id);
  if (session === undefined) throw new InvalidInputError('the session was released');
  return session;
}

async function answer(message: ToThread): Promise<FromThread> {
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

answerCalls<ToThread, FromThread>(parentPort, {
  answer,
  // Outputs are fresh memory that nobody else holds: handing it over costs no copy.
  transfer: (reply) =>
    reply.type === 'ran'
      ? Object.values(reply.outputs).map(({ data }) => data.buffer as ArrayBuffer)
      : [],
  close: () => runtime.close(),
});

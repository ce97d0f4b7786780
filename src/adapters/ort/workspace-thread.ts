import { parentPort, workerData } from 'node:worker_threads';
import { InvalidInputError } from '../../errors';
import type { Tensor } from '../../ports/tensor-runtime';
import type { WorkspaceSession } from '../../ports/tensor-workspace';
import { answerCalls } from './answer-calls';
import { createInThreadWorkspace } from './in-thread-workspace';
import type { OrtOptions } from './options';
import type { FromWorkspace, ToWorkspace } from './workspace-protocol';

// The body of the thread that createThreadWorkspace starts.

if (parentPort === null) throw new InvalidInputError('this module only runs as a worker thread');

const workspace = createInThreadWorkspace(workerData as OrtOptions);
const sessions = new Map<number, WorkspaceSession>();

async function perform(message: ToWorkspace): Promise<Record<string, Tensor>> {
  switch (message.type) {
    case 'write':
      await workspace.write(message.tensors);
      return {};
    case 'read':
      return workspace.read(message.names);
    case 'clear':
      await workspace.clear(message.names);
      return {};
    case 'load':
      sessions.set(message.id, await workspace.load(message.model, { name: message.name }));
      return {};
    case 'run': {
      const session = sessions.get(message.session);
      if (session === undefined) throw new InvalidInputError('the session was released');
      return session.run(message.feeds);
    }
    case 'release':
      await sessions.get(message.session)?.release();
      sessions.delete(message.session);
      return {};
  }
}

answerCalls<ToWorkspace, FromWorkspace>(parentPort, {
  answer: async (message) => ({ type: 'done', id: message.id, tensors: await perform(message) }),
  // Copies and fresh outputs: nobody else holds them.
  transfer: ({ tensors }) => Object.values(tensors).map(({ data }) => data.buffer as ArrayBuffer),
  close: () => workspace.close(),
});

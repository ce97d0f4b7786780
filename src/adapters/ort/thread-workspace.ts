import { Worker } from 'node:worker_threads';
import { InvalidInputError } from '../../errors';
import type { Tensors } from '../../ports/tensor-runtime';
import type { TensorWorkspace } from '../../ports/tensor-workspace';
import { distPath } from '../dist-path';
import { CallingThread } from './calling-thread';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';
import { ownBytes, ownTensors } from './own-memory';
import type { FromWorkspace, ToWorkspace } from './workspace-protocol';

/**
 * A workspace in a worker thread of its own: its runs block no one else, and two of them compute side by side. If the thread dies,
 * the tensors are lost with it, and everything rejects with TransientError.
 *
 * Close it before the process ends; see createThreadRuntime.
 *
 * @throws {InvalidInputError} if an option is out of range; {NotFoundError} if the project was not built.
 */
export function createThreadWorkspace(options: OrtOptions = {}): TensorWorkspace {
  sessionOptions(options); // refuses bad options here and not at the first load
  const worker = new Worker(distPath('src/adapters/ort/workspace-thread.js'), {
    workerData: options,
  });
  const thread = new CallingThread<ToWorkspace, FromWorkspace>(worker);

  return {
    async write(tensors) {
      await thread.call({ type: 'write', tensors }, buffersOf(tensors)).reply;
    },
    async read(names) {
      return (await thread.call({ type: 'read', names }).reply).tensors;
    },
    async clear(names) {
      await thread.call({ type: 'clear', names }).reply;
    },
    async load(model, { name = 'model' } = {}) {
      const bytes = ownBytes(model);
      const { call: session, reply } = thread.call({ type: 'load', model: bytes, name }, [
        bytes.buffer as ArrayBuffer,
      ]);
      await reply;
      let isReleased = false;
      return {
        async run(feeds) {
          if (isReleased) {
            throw new InvalidInputError('the session was released', { context: { model: name } });
          }
          const copies = ownTensors(feeds);
          const { reply } = thread.call({ type: 'run', session, feeds: copies }, buffersOf(copies));
          return (await reply).tensors;
        },
        async release() {
          if (isReleased || thread.isDead) return;
          isReleased = true;
          await thread.call({ type: 'release', session }).reply;
        },
      };
    },
    close: () => thread.close(),
  };
}

/** Buffers that are a tensor's own, each once; views of larger ones are copied by the message. */
function buffersOf(tensors: Tensors): ArrayBuffer[] {
  const own = Object.values(tensors).flatMap(({ data }) =>
    data.byteLength === data.buffer.byteLength ? [data.buffer as ArrayBuffer] : [],
  );
  return [...new Set(own)];
}

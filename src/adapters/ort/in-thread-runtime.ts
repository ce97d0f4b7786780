import { InvalidInputError } from '../../errors';
import type { TensorRuntime, TensorSession } from '../../ports/tensor-runtime';
import type { OrtOptions } from './options';
import { createOrtSession } from './ort-session';

/**
 * ONNX Runtime on the calling thread: each `run` blocks it. Only for code that has a thread or process to itself, such as a
 * trainer; it is the faster one there, since no tensor is copied between threads. Elsewhere: createWorkerRuntime.
 */
export function createInThreadRuntime(options: OrtOptions = {}): TensorRuntime {
  const sessions = new Set<TensorSession>();
  let isClosed = false;
  return {
    async load(model, { name = 'model' } = {}) {
      if (isClosed)
        throw new InvalidInputError('the runtime is closed', { context: { model: name } });
      const session = await createOrtSession(model, name, options);
      const release = async (): Promise<void> => {
        if (sessions.delete(owned)) await session.release();
      };
      const owned: TensorSession = {
        ...session,
        async run(feeds, fetches) {
          if (!sessions.has(owned)) {
            throw new InvalidInputError('the session was released', { context: { model: name } });
          }
          return session.run(feeds, fetches);
        },
        release,
      };
      sessions.add(owned);
      return owned;
    },
    async close() {
      isClosed = true;
      await Promise.all([...sessions].map((session) => session.release()));
    },
  };
}

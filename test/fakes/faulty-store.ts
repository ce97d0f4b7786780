import { setTimeout as delay } from 'node:timers/promises';
import { TransientError } from '../../src/errors';
import type { Body, ObjectStore } from '../../src/storage/object-store';

/**
 * What can happen to a write:
 * - `failed`: nothing is written, and the caller is told.
 * - `torn`: the connection breaks in the middle of the body.
 * - `delayed`: it takes long, and succeeds.
 * - `answer lost`: it is written, and the caller is told that it may not be.
 * - `answered too late`: the caller gives up; the write lands when others, the retry among them, have gone on.
 */
export const FAULTS = ['failed', 'torn', 'delayed', 'answer lost', 'answered too late'] as const;
export type Fault = (typeof FAULTS)[number];

export interface FaultyStore extends ObjectStore {
  /** Writes so far: puts and deletes. */
  readonly writes: () => number;
  /** Lets what is still on its way land. */
  settle(): Promise<void>;
}

/** Writes that pass before one that was given up lands: enough for the retry to have begun, and for it to have ended. */
const LANDS_AFTER = 3;

/** A store whose n-th write (from 0) goes wrong, once. */
export function faultyStore(store: ObjectStore, nth: number, fault: Fault): FaultyStore {
  let writes = 0;
  let late: { readonly land: () => Promise<unknown>; left: number } | null = null;

  const write = async <T>(run: () => Promise<T>, tear: () => Promise<unknown>): Promise<T> => {
    const index = writes++;
    if (index !== nth) {
      const result = await run();
      if (late !== null && --late.left === 0) await settle();
      return result;
    }
    switch (fault) {
      case 'failed':
        throw new TransientError('the store could not be reached');
      case 'torn':
        await tear();
        throw new TransientError('the connection broke');
      case 'delayed':
        await delay(15);
        return run();
      case 'answer lost':
        await run();
        throw new TransientError('the connection broke before the answer came');
      case 'answered too late':
        late = { land: run, left: LANDS_AFTER };
        throw new TransientError('the store did not answer in time');
    }
  };
  const settle = async (): Promise<void> => {
    const landing = late;
    late = null;
    await landing?.land();
  };

  return {
    ...store,
    writes: () => writes,
    settle,
    put: (key, body, options) =>
      write(
        () => store.put(key, body, options),
        // The adapter sees a body that ends in an error, as it does when a process or a connection dies.
        () => store.put(key, halfOf(body), options).catch(() => undefined),
      ),
    delete: (key) =>
      write(
        () => store.delete(key),
        async () => undefined, // a delete has no middle
      ),
  };
}

async function* halfOf(body: Body): AsyncIterable<Uint8Array> {
  const chunks: Uint8Array[] = [];
  if (body instanceof Uint8Array) chunks.push(body);
  else for await (const chunk of body) chunks.push(chunk);
  const whole = Buffer.concat(chunks);
  yield whole.subarray(0, Math.floor(whole.byteLength / 2));
  throw new TransientError('the connection broke in the middle of a body');
}

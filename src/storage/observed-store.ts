import { RatchetError } from '../errors';
import type { Meter } from '../ports/meter';
import type { Body, ObjectStore } from './object-store';

type Operation = keyof ObjectStore;

/** What kind of thing a key names, for people who watch: `trajectories`, `state`, `checkpoints`, … */
export function kindOfKey(key: string): string {
  const [, first = '', , , fourth] = key.split('/');
  if (first === '') return 'all'; // a listing
  return first === 'runs' ? (fourth ?? 'runs') : first;
}

const failureOf = (error: unknown): string =>
  error instanceof RatchetError ? error.code.toLowerCase() : 'unexpected';

/** The same store; every call is counted by kind and outcome, and timed. What it does and throws is untouched. */
export function observeStore(store: ObjectStore, meter: Meter): ObjectStore {
  const finish = (operation: Operation, key: string, startedAt: number, outcome: string): void => {
    meter.add('storeOperations', 1, { operation, kind: kindOfKey(key), outcome });
    meter.observe('storeSeconds', (performance.now() - startedAt) / 1000, { operation });
  };

  const call = async <T>(
    operation: Operation,
    key: string,
    run: () => Promise<T>,
    outcomeOf: (result: T) => string = () => 'ok',
  ): Promise<T> => {
    const startedAt = performance.now();
    try {
      const result = await run();
      finish(operation, key, startedAt, outcomeOf(result));
      return result;
    } catch (error) {
      finish(operation, key, startedAt, failureOf(error));
      throw error;
    }
  };

  /** A consumer that breaks off has what it wanted. */
  const stream = async function* <T>(
    operation: Operation,
    key: string,
    source: AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const startedAt = performance.now();
    let outcome = 'ok';
    try {
      yield* source;
    } catch (error) {
      outcome = failureOf(error);
      throw error;
    } finally {
      finish(operation, key, startedAt, outcome);
    }
  };

  return {
    get: (key) => call('get', key, () => store.get(key)),
    getStream: (key, range) => stream('getStream', key, store.getStream(key, range)),
    head: (key) =>
      call(
        'head',
        key,
        () => store.head(key),
        (head) => (head === null ? 'absent' : 'ok'),
      ),
    async put(key, body, options) {
      const counted = countBytes(body);
      const outcome = await call(
        'put',
        key,
        () => store.put(key, counted.body, options),
        ({ committed }) => (committed ? 'ok' : 'lost'),
      );
      if (outcome.committed) {
        meter.add('storeWrittenBytes', counted.sizeBytes(), { kind: kindOfKey(key) });
      }
      return outcome;
    },
    list: (prefix, options) => stream('list', prefix, store.list(prefix, options)),
    delete: (key) => call('delete', key, () => store.delete(key)),
  };
}

function countBytes(body: Body): { readonly body: Body; sizeBytes(): number } {
  if (body instanceof Uint8Array) return { body, sizeBytes: () => body.byteLength };
  let sizeBytes = 0;
  const counting = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      sizeBytes += chunk.byteLength;
      yield chunk;
    }
  };
  return { body: counting(), sizeBytes: () => sizeBytes };
}

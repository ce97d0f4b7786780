import { setMaxListeners } from 'node:events';

/** Who may run beside whom in one process. Everybody waits in one line, so that nobody waits for ever. */
export interface Solitude {
  /** Runs beside others that do. */
  together<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T>;
  /** Runs when nothing else does, and nothing else until it is done. */
  alone<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T>;
}

interface Waiter {
  readonly isAlone: boolean;
  readonly start: () => void;
}

/** A lock for readers and writers, first come, first served; free of cost while nobody asks to be alone. */
export function createSolitude(): Solitude {
  const queue: Waiter[] = [];
  let running = 0;
  let isTakenAlone = false;

  const fits = (isAlone: boolean): boolean => !isTakenAlone && (!isAlone || running === 0);
  const begin = (isAlone: boolean): void => {
    running += 1;
    isTakenAlone = isAlone;
  };
  const letIn = (): void => {
    for (let next = queue[0]; next !== undefined && fits(next.isAlone); next = queue[0]) {
      queue.shift();
      begin(next.isAlone);
      next.start();
    }
  };
  const wait = (isAlone: boolean, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const abort = (): void => {
        queue.splice(queue.indexOf(waiter), 1);
        letIn(); // who stood behind may have waited for this one only
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        isAlone,
        start() {
          signal.removeEventListener('abort', abort);
          resolve();
        },
      };
      setMaxListeners(0, signal); // a batch has one signal, however many wait
      signal.addEventListener('abort', abort, { once: true });
      queue.push(waiter);
    });
  const enter = async <T>(
    isAlone: boolean,
    signal: AbortSignal,
    run: () => Promise<T>,
  ): Promise<T> => {
    signal.throwIfAborted();
    if (queue.length === 0 && fits(isAlone)) begin(isAlone);
    else await wait(isAlone, signal);
    try {
      return await run();
    } finally {
      running -= 1;
      isTakenAlone = false;
      letIn();
    }
  };

  return {
    together: (signal, run) => enter(false, signal, run),
    alone: (signal, run) => enter(true, signal, run),
  };
}

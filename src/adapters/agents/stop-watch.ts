import { setMaxListeners } from 'node:events';
import type { AgentExit } from '../../ports/agent-runner';

export interface StopWatch {
  /** Resolves with why the agent must stop, once the deadline passes or a signal is aborted; otherwise never. */
  readonly stopped: Promise<AgentExit>;
  /** Lets go of the timer and the signals. A batch has one signal for thousands of attempts: listeners must not pile up. */
  dispose(): void;
}

/** Watches over one execution of an agent. */
export function createStopWatch(timeoutMs: number, signals: readonly AbortSignal[]): StopWatch {
  const { promise, resolve } = withResolver<AgentExit>();
  const cancel = (): void => resolve({ kind: 'cancelled' });
  const timer = setTimeout(() => resolve({ kind: 'timedOut', timeoutMs }), timeoutMs);
  setMaxListeners(0, ...signals); // more than ten attempts at once are no leak
  for (const signal of signals) {
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel);
  }
  return {
    stopped: promise,
    dispose() {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', cancel);
    },
  };
}

/** A promise and what resolves it; the first call counts. */
export function withResolver<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

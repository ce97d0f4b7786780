import { url as inspectorUrl } from 'node:inspector';
import { Worker } from 'node:worker_threads';
import { distPath } from '../src/adapters/dist-path';

export interface WatchdogOptions {
  /** How long the main thread may be blocked, in milliseconds. @default 30_000 */
  readonly blockedMs?: number;
  /** How often it is looked after, in milliseconds. @default 1_000 */
  readonly everyMs?: number;
}

/** What the thread is given. */
export interface WatchdogJob {
  /** Int32 [1]: counted up by the main thread as long as it turns. */
  readonly turns: SharedArrayBuffer;
  readonly everyMs: number;
  /** Looks in a row that find no turn. */
  readonly patience: number;
}

/**
 * Ends this process, by SIGKILL, when its main thread has not turned for `blockedMs`: an agent or scorer that never yields has it.
 * A blocked worker neither beats nor ends, but may still be handed work; a dead one is started again by whoever supervises it,
 * and what blocked it is found as what kills a worker is (see src/rollouts/careful-batch.ts).
 *
 * A process that a debugger may stop is left alone. Time is counted in the thread's own looks, so a machine that sleeps, or a stopped process, is not taken for blocked.
 */
export function startWatchdog({ blockedMs = 30_000, everyMs = 1_000 }: WatchdogOptions = {}): {
  stop(): Promise<void>;
} {
  if (inspectorUrl() !== undefined) return { stop: async () => undefined };
  const turns = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const counter = new Int32Array(turns);
  const timer = setInterval(() => Atomics.add(counter, 0, 1), everyMs / 2);
  const job: WatchdogJob = { turns, everyMs, patience: Math.ceil(blockedMs / everyMs) };
  const thread = new Worker(distPath('workers/watchdog-thread.js'), {
    workerData: job,
    name: 'watchdog',
  });
  timer.unref();
  thread.unref(); // it watches over work, and is none
  return {
    async stop() {
      clearInterval(timer);
      await thread.terminate();
    },
  };
}

import { workerShutdown } from '../activities/worker-shutdown';
import type { HandOver } from '../src/ports/hand-over';

/** A second signal counts as one of its own only after this time: a terminal and a parent process may both pass on the first. */
const SAME_SIGNAL_MS = 500;
/** When agents that still run are stopped: the rest of the time is for writing what they leave. Share of the grace time. */
const DUE_SHARE = 0.5;
/** When Temporal cancels activities that know nothing of a hand-over. Share of the grace time. */
const CANCEL_SHARE = 0.75;

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** What a shell answers for a process that a signal ended. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

export interface Shutdown extends HandOver {
  /** How long after the first signal running activities are cancelled. */
  readonly cancelAfterMs: number;
  /** Stops listening. */
  dispose(): void;
}

export interface ShutdownOptions {
  readonly graceMs: number;
  readonly say: (message: string) => void;
  /** @default process.exit */
  readonly exit?: (code: number) => void;
}

/**
 * Turns SIGTERM and SIGINT into a hand-over: the first begins it, a second ends the process at once, and so does the end of
 * the grace time (with exit code 1: what was not handed over by then is noticed by its missing heartbeats).
 */
export function listenForShutdown({
  graceMs,
  say,
  exit = (code) => process.exit(code),
}: ShutdownOptions): Shutdown {
  const begun = new AbortController();
  const due = new AbortController();
  const timers: NodeJS.Timeout[] = [];
  let beganAt = 0;
  const after = (ms: number, run: () => void): void =>
    void timers.push(setTimeout(run, ms).unref());

  const onSignal = (signal: (typeof SIGNALS)[number]): void => {
    if (begun.signal.aborted) {
      if (performance.now() - beganAt < SAME_SIGNAL_MS) return;
      say(`${signal} again: ending at once`);
      exit(EXIT_CODES[signal]);
      return;
    }
    beganAt = performance.now();
    say(`${signal}: handing running work over, for at most ${graceMs / 1000} s`);
    const reason = workerShutdown();
    after(graceMs * DUE_SHARE, () => due.abort(reason));
    after(graceMs, () => {
      say('the grace time is over and not everything was handed over: ending all the same');
      exit(1);
    });
    begun.abort(reason);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    begun: begun.signal,
    due: due.signal,
    cancelAfterMs: graceMs * CANCEL_SHARE,
    dispose() {
      for (const signal of SIGNALS) process.off(signal, onSignal);
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

// A side of a benchmark in a process of its own, whose peak memory is that of the one thing that is measured.

export interface Fork<Ask> {
  /** One question at a time. */
  readonly ask: (message: Ask) => Promise<unknown>;
  close: () => void;
}

/** Runs a module as a process: see `isForked` and `answerParent`. */
export function startFork<Ask extends object>(module: string): Fork<Ask> {
  const child = fork(module, ['child']);
  return {
    async ask(message) {
      child.send(message);
      const [reply] = (await once(child, 'message')) as [{ result?: unknown; error?: string }];
      if (reply.error !== undefined) throw new Error(reply.error);
      return reply.result;
    },
    close: () => void child.kill(),
  };
}

/** Whether this process is one that `startFork` began. */
export function isForked(module: string): boolean {
  return process.argv[1] === module && process.argv[2] === 'child';
}

export function answerParent<Ask>(answer: (message: Ask) => Promise<unknown>): void {
  process.on('message', (message: Ask) => {
    answer(message).then(
      (result) => process.send?.({ result }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
}

/** The high-water mark of the resident size, where the system tells it. */
export function peakRssMb(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS / 1024;
  const kb = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kb) / 1024;
}

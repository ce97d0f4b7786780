import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import { NotFoundError } from '../../src/errors';

export interface ExecOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
  /** Kills the program after this long; it then counts as exited by SIGKILL. */
  readonly timeoutMs?: number;
  /** Leaves the processor to everyone else: for builds that run beside something a person is watching. */
  readonly lowPriority?: boolean;
  /** Called for each line of stderr, while the program runs. */
  readonly onStderrLine?: (line: string) => void;
}

export interface ExecResult {
  /** The exit status; 128 + the signal's number for a program that was killed, as shells count. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end: the port through which the provisioner and the dev server reach the machine.
 * A status other than 0 is a result, not an error.
 *
 * @throws {NotFoundError} if the program cannot be started.
 * @throws the signal's reason if it was aborted; the program is interrupted first.
 */
export type Exec = (
  file: string,
  args: readonly string[],
  options?: ExecOptions,
) => Promise<ExecResult>;

const KEEP_CHARACTERS = 256 * 1024; // a build that prints for minutes must not fill the memory
const INTERRUPT_PATIENCE_MS = 3_000;
const LOW_PRIORITY = 10;

export const exec: Exec = (file, args, options = {}) => {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(asError(signal.reason));
      return;
    }
    // Not a session of its own: a terminal's Ctrl-C must also end a build that this process started.
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        output[name] = (output[name] + chunk).slice(-KEEP_CHARACTERS);
      });
    }
    const { onStderrLine } = options;
    if (onStderrLine !== undefined) {
      createInterface({ input: child.stderr }).on('line', onStderrLine);
    }
    if (options.lowPriority === true && child.pid !== undefined) {
      try {
        setPriority(child.pid, LOW_PRIORITY); // what it starts inherits it
      } catch {
        // The program has ended already, or the system refuses: a wish, not a need.
      }
    }

    const timers: NodeJS.Timeout[] = [];
    const kill = (): boolean => child.kill('SIGKILL');
    if (options.timeoutMs !== undefined) timers.push(setTimeout(kill, options.timeoutMs));
    const onAbort = (): void => {
      child.kill('SIGINT'); // `go build` removes its work folder on an interrupt
      timers.push(setTimeout(kill, INTERRUPT_PATIENCE_MS));
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const settle = (): void => {
      timers.forEach(clearTimeout);
      signal?.removeEventListener('abort', onAbort);
    };

    child.once('error', (cause) => {
      settle();
      reject(new NotFoundError('a program cannot be started', { context: { file }, cause }));
    });
    child.once('close', (code, by) => {
      settle();
      if (signal?.aborted) reject(asError(signal.reason));
      else resolve({ code: exitCode(code, by), ...output });
    });
  });
};

/** The status that a shell would report. */
export function exitCode(code: number | null, by: NodeJS.Signals | null): number {
  return code ?? 128 + (by === null ? 0 : constants.signals[by]);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { distPath } from '../../src/adapters/dist-path';
import { TransientError } from '../../src/errors';
import { NODE_FLAGS } from '../node-flags';

/** One of our own processes, started and stopped with the caller. */
export interface OwnProcess {
  readonly name: string;
  /** The line with which it said that it is ready. */
  readonly ready: string;
  readonly pid: number;
  /** Resolves when the process ends, whoever ended it. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

interface StartOptions {
  readonly name: string;
  /** Arguments of the `ratchet` command. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  readonly readyWithinMs?: number;
}

const GRACE_MS = 5_000;
const LOG_TAIL_LINES = 15;

/** The line on standard output that says a process is ready begins with this. */
export const READY = 'ready: ';

/**
 * Starts a `ratchet` command as a process and waits until it says that it is ready. Its standard input is a pipe that
 * closes when we die, however we die: that is its sign to end too.
 *
 * @throws {TransientError} with the end of its log if it ends or stays silent.
 */
export async function startOwnProcess(options: StartOptions): Promise<OwnProcess> {
  const { name, args, env, logFile, readyWithinMs = 60_000 } = options;
  await mkdir(dirname(logFile), { recursive: true });
  const log = createWriteStream(logFile, { flags: 'a' });
  const child = spawn(process.execPath, [...NODE_FLAGS, distPath('workers/cli.js'), ...args], {
    env: { ...env, RATCHET_END_WITH_STDIN: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined); // the pipe breaks when the child ends first: `ended` says so
  child.stderr.pipe(log, { end: false }); // standard output may still have lines when standard error has ended
  const ended = new Promise<void>((resolve) => child.once('close', () => log.end(() => resolve())));

  const ready = await new Promise<string>((resolve, reject) => {
    const fail = (what: string): void => {
      clearTimeout(timer);
      readTail(logFile).then(
        (tail) => reject(new TransientError(`${name} ${what}; the end of ${logFile}:\n${tail}`)),
        reject,
      );
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`was not ready within ${readyWithinMs / 1000} s`);
    }, readyWithinMs);
    child.once('error', (error) => fail(`could not be started: ${error.message}`));
    child.once('close', (code) => {
      void ended.then(() => fail(`ended with exit code ${code ?? 'none'}`)); // its log is complete only then
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.write(`${line}\n`);
      if (!line.startsWith(READY)) return;
      clearTimeout(timer);
      resolve(line.slice(READY.length));
    });
  });
  return { name, ready, pid: child.pid ?? 0, ended, stop: () => stop(child, ended) };
}

async function stop(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  await ended;
  clearTimeout(timer);
}

async function readTail(path: string): Promise<string> {
  const text = await readFile(path, 'utf8');
  return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}

/** For the process that was started: ends it when whoever started it is gone. */
export function endWithStdin(): void {
  if (process.env['RATCHET_END_WITH_STDIN'] !== '1') return;
  process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume();
  process.stdin.unref(); // listening for it must not keep a process alive whose work is done
}

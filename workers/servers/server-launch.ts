import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { InvalidInputError, TransientError } from '../../src/errors';

export interface ServerLaunch {
  /** Begins messages. */
  readonly title: string;
  readonly binary: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly log: string;
  /** False leaves it in this process's group, so that a terminal's Ctrl-C ends both. */
  readonly detached?: boolean;
  readonly readyTimeoutMs: number;
  readonly signal?: AbortSignal;
  /** Polls until the server serves (true), or is gone or late (false). */
  readonly isServing: (isGone: () => boolean) => Promise<boolean>;
  /** The last step of getting ready; if it fails the server is ended again. */
  readonly whenServing: () => Promise<void>;
  /** What the end of the log says if someone else has the port. */
  readonly portTaken: RegExp;
  /** What to do about a failure that people meet, from the end of the log, and where to read on. */
  readonly explain: (logTail: string) => string;
}

const LOG_LINES = 20;
const STOP_GRACE_MS = 10_000;

/**
 * Spawns a server and waits until it serves. It leaves nothing running when it throws.
 *
 * @returns its pid, or `'port-taken'` if someone else was faster between the probe of the port and the server's own listen.
 * @throws {InvalidInputError} if it ends by itself: what to do, where that is known, and the end of its log.
 * @throws {TransientError} if it does not serve in time.
 */
export async function launchServer(launch: ServerLaunch): Promise<number | 'port-taken'> {
  const { title, log, readyTimeoutMs } = launch;
  const child = await spawnIntoLog(launch);
  let exited = false;
  child.once('exit', () => (exited = true));
  try {
    if (!(await launch.isServing(() => exited))) {
      const tail = await logTail(log);
      throw exited
        ? new InvalidInputError(`the ${title} ended at once${launch.explain(tail)}\n${tail}`)
        : new TransientError(
            `the ${title} does not serve after ${readyTimeoutMs / 1000} s; the end of ${log}:\n${tail}`,
          );
    }
    await launch.whenServing();
    launch.signal?.throwIfAborted();
  } catch (error) {
    if (!exited) await endChild(child);
    // Also where it was the faster server that answered, and was not what we expected.
    else if (launch.portTaken.test(await logTail(log))) return 'port-taken';
    throw error;
  }
  child.unref();
  return child.pid!; // 'spawn' was emitted, so it has one
}

/** The log of the start before this one is kept. */
export async function rotateLog(log: string): Promise<void> {
  if (existsSync(log)) await rename(log, `${log}.1`);
}

async function spawnIntoLog({
  title,
  binary,
  args,
  env,
  cwd,
  log: path,
  detached = true,
}: ServerLaunch): Promise<ChildProcess> {
  const log = await open(path, 'w');
  try {
    const child = spawn(binary, args, {
      cwd,
      env,
      detached,
      stdio: ['ignore', log.fd, log.fd],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve).once('error', reject);
    });
    return child;
  } catch (cause) {
    throw new InvalidInputError(`the ${title} cannot be started`, { context: { binary }, cause });
  } finally {
    await log.close(); // the server has its own copy
  }
}

/** Ended by its handle, not found in the process table: this one is certainly ours. */
async function endChild(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
  await ended;
  clearTimeout(timer);
}

async function logTail(path: string): Promise<string> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  return lines.slice(-LOG_LINES).join('\n');
}

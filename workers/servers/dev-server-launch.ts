import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidInputError, TransientError } from '../../src/errors';
import type { RunningDevServer } from './dev-server-process';
import { devServerArguments } from './dev-server-process';
import { moveAway } from './dev-server-record';
import type { Exec } from './exec';
import { operatorCommand } from './operator-command';
import { LOOPBACK } from './ports';
import { SEARCH_ATTRIBUTES } from './search-attributes';

export interface HealthProbe {
  readonly binary: string;
  readonly exec: Exec;
  readonly address: string;
  readonly signal?: AbortSignal;
}

export interface LaunchOptions extends Omit<HealthProbe, 'address'> {
  readonly stateDir: string;
  readonly database: string;
  readonly log: string;
  readonly port: number;
  readonly uiPort: number | undefined;
  readonly namespace: string;
  readonly detached?: boolean;
  readonly readyTimeoutMs: number;
  /** The last step of getting ready; if it fails the server is ended again. */
  readonly whenServing: (address: string) => Promise<void>;
}

const POLL_MS = 200;
const LOG_LINES = 20;
const STOP_GRACE_MS = 10_000;
/** A server that is still there after this long has not failed to listen. */
const LISTEN_MS = 3_000;

/**
 * Spawns one dev server on these ports and waits until it serves. It leaves nothing running when it throws.
 *
 * @returns `'port-taken'` if someone else was faster between the probe of the port and the server's own listen.
 * @throws {InvalidInputError} if it ends by itself: what to do, where that is known, and the end of its log.
 * @throws {TransientError} if it does not serve in time.
 */
export async function launchDevServer(
  options: LaunchOptions,
): Promise<RunningDevServer | 'port-taken'> {
  const { database, log, port, uiPort, readyTimeoutMs, signal } = options;
  const address = `${LOOPBACK}:${port}`;
  const child = await spawnIntoLog(options);
  let exited = false;
  child.once('exit', () => (exited = true));
  try {
    const serving =
      (await isServing({ ...options, address }, readyTimeoutMs, () => exited)) &&
      (await isListening(log, port, () => exited));
    if (!serving) {
      const tail = await logTail(log);
      if (exited && /address already in use/.test(tail)) return 'port-taken';
      throw exited
        ? new InvalidInputError(
            `the Temporal server ended at once${explain(tail, options)}\n${tail}`,
          )
        : new TransientError(
            `the Temporal server does not serve after ${readyTimeoutMs / 1000} s; the end of ${log}:\n${tail}`,
          );
    }
    await options.whenServing(address);
    signal?.throwIfAborted();
  } catch (error) {
    if (!exited) await endChild(child);
    throw error;
  }
  child.unref();
  const ui = uiPort === undefined ? {} : { ui: `http://${LOOPBACK}:${uiPort}` };
  return { pid: child.pid!, address, ...ui, database }; // 'spawn' was emitted, so it has a pid
}

/** Whether the frontend answers gRPC health checks before the time is over; false at once if the server is gone. */
export async function isServing(
  { exec, binary, address, signal }: HealthProbe,
  timeoutMs: number,
  isGone: () => boolean = () => false,
): Promise<boolean> {
  const operator = operatorCommand(exec, binary, address, signal);
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline && !isGone();) {
    const { code, stdout } = await operator(['cluster', 'health']);
    if (code === 0 && stdout.trim() === 'SERVING') return !isGone();
    await sleep(POLL_MS);
    signal?.throwIfAborted();
  }
  return false;
}

/**
 * Whether the server that answered is the one we spawned. Two that start at the same moment may both have seen the port
 * free; the loser's health check is answered by the winner until the loser has noticed. The banner names the port once
 * it is open; should a later version word it differently, having stayed alive is enough.
 */
async function isListening(log: string, port: number, isGone: () => boolean): Promise<boolean> {
  const banner = new RegExp(`Server:\\s+\\S+:${port}\\b`);
  for (const deadline = Date.now() + LISTEN_MS; Date.now() < deadline && !isGone();) {
    if (banner.test(await readFile(log, 'utf8'))) return true;
    await sleep(POLL_MS / 4);
  }
  return !isGone();
}

async function spawnIntoLog(options: LaunchOptions): Promise<ChildProcess> {
  const { binary, stateDir, detached = true } = options;
  const log = await open(options.log, 'w');
  try {
    const child = spawn(
      binary,
      devServerArguments({ ...options, searchAttributes: SEARCH_ATTRIBUTES }),
      {
        cwd: stateDir,
        env: process.env,
        detached,
        stdio: ['ignore', log.fd, log.fd],
      },
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve).once('error', reject);
    });
    return child;
  } catch (cause) {
    throw new InvalidInputError('the Temporal server cannot be started', {
      context: { binary },
      cause,
    });
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

/** What to do about the failures that people meet, and where to read on. */
function explain(tail: string, { database, binary, log }: LaunchOptions): string {
  const readOn = `; the end of ${log}:`;
  if (/no such (table|column)|has no column|not a database|malformed/.test(tail)) {
    return `: its database is damaged or was made by another version; ${moveAway(database)}${readOn}`;
  }
  if (/unknown flag/.test(tail)) {
    return `: ${binary} is too old, set TEMPORAL_CLI to a newer one or unset it${readOn}`;
  }
  return readOn;
}

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningDevServer } from './dev-server-process';
import { devServerArguments } from './dev-server-process';
import { moveAway } from './dev-server-record';
import type { Exec } from './exec';
import { operatorCommand } from './operator-command';
import { LOOPBACK } from './ports';
import { SEARCH_ATTRIBUTES } from './search-attributes';
import { launchServer } from './server-launch';

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
  const { stateDir, database, log, port, uiPort, readyTimeoutMs, whenServing, ...rest } = options;
  const address = `${LOOPBACK}:${port}`;
  const pid = await launchServer({
    ...rest,
    title: 'Temporal server',
    args: devServerArguments({ ...options, searchAttributes: SEARCH_ATTRIBUTES }),
    env: process.env,
    cwd: stateDir,
    log,
    readyTimeoutMs,
    isServing: async (isGone) =>
      (await isServing({ ...options, address }, readyTimeoutMs, isGone)) &&
      (await isListening(log, port, isGone)),
    whenServing: () => whenServing(address),
    portTaken: /address already in use/,
    explain: (tail) => explain(tail, options),
  });
  if (pid === 'port-taken') return pid;
  const ui = uiPort === undefined ? {} : { ui: `http://${LOOPBACK}:${uiPort}` };
  return { pid, address, ...ui, database };
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

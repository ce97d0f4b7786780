import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { DevServer, DevServerOptions } from './dev-server';
import { startDevServer, stateFiles } from './dev-server';
import type { RunningDevServer } from './dev-server-process';
import { findDevServer, stopDevServer } from './dev-server-process';
import { withFileLock } from './file-lock';
import { processTable } from './process-table';
import { provision } from './provision';
import type { ProvisionProgress } from './provision-progress';
import { renderProvisionProgress } from './provision-progress';
import { temporalSpec } from './server-spec';

export type TemporalStatus =
  ({ readonly state: 'running' } & RunningDevServer) | { readonly state: 'stopped' };

export interface ServersStatus {
  readonly temporal: TemporalStatus;
}

export interface ServersOptions {
  /** Default: `stateDirectory()`. */
  readonly stateDir?: string;
}

export interface ServersUpOptions
  extends ServersOptions, Pick<DevServerOptions, 'port' | 'uiPort' | 'headless' | 'namespace'> {
  readonly progress?: ProvisionProgress;
  readonly notify?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** Where the servers of a project keep their data: RATCHET_HOME, else `.ratchet` in the current folder. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.RATCHET_HOME || '.ratchet'); // set to nothing is not set
}

/** Provides the binary and starts the server so that it outlives this process. Idempotent. */
export async function serversUp(options: ServersUpOptions = {}): Promise<ServersStatus> {
  await startTemporal({ ...options, lifetime: 'until-down' });
  return serversStatus(options);
}

/** Provides the binary and starts the server for as long as this process lives: its `stop()` leaves nothing running. */
export function serversForeground(options: ServersUpOptions = {}): Promise<DevServer> {
  return startTemporal({ ...options, lifetime: 'with-parent' });
}

async function startTemporal({
  stateDir = stateDirectory(),
  progress = renderProvisionProgress(),
  ...options
}: ServersUpOptions & Pick<DevServerOptions, 'lifetime'>): Promise<DevServer> {
  const { signal } = options;
  const { path } = await provision(temporalSpec, { progress, ...(signal ? { signal } : {}) });
  return startDevServer({
    notify: (message) => console.error(message),
    ...options,
    stateDir,
    binary: path,
  });
}

/** Stops whatever server runs on the state folder's database, whoever started it. Idempotent. */
export async function serversDown({
  stateDir = stateDirectory(),
}: ServersOptions = {}): Promise<ServersStatus> {
  if (!existsSync(stateDir)) return { temporal: { state: 'stopped' } };
  const { database, lock } = await stateFiles(stateDir);
  return withFileLock(lock, async () => {
    await stopDevServer(database, { processes: processTable });
    return serversStatus({ stateDir });
  });
}

export async function serversStatus({
  stateDir = stateDirectory(),
}: ServersOptions = {}): Promise<ServersStatus> {
  if (!existsSync(stateDir)) return { temporal: { state: 'stopped' } }; // asking leaves no traces
  const { database } = await stateFiles(stateDir);
  const running = await findDevServer(processTable, database);
  return {
    temporal: running === undefined ? { state: 'stopped' } : { state: 'running', ...running },
  };
}

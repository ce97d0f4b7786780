import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { InvalidInputError } from '../../src/errors';
import type { DevServer, DevServerOptions } from './dev-server';
import { startDevServer, stateFiles } from './dev-server';
import type { RunningDevServer } from './dev-server-process';
import { findDevServer, stopDevServer } from './dev-server-process';
import { withFileLock } from './file-lock';
import { MINIO_BUCKET, minioFiles, startMinio } from './minio';
import { readMinioCredentials } from './minio-credentials';
import { MINIO } from './minio-process';
import { processTable } from './process-table';
import { provision } from './provision';
import type { ProvisionProgress } from './provision-progress';
import { renderProvisionProgress } from './provision-progress';
import { findServer, stopServer } from './server-process';
import { minioSpec, temporalSpec } from './server-spec';

export type TemporalStatus =
  ({ readonly state: 'running' } & RunningDevServer) | { readonly state: 'stopped' };

export type MinioStatus =
  | {
      readonly state: 'running';
      readonly pid: number;
      readonly endpoint: string;
      readonly data: string;
      /** What our processes need to use it, but for the secret: that is in `secretIn`, and `servers env` prints it. */
      readonly environment: Readonly<Record<string, string>>;
      readonly secretIn: string;
    }
  | { readonly state: 'stopped' };

export interface ServersStatus {
  readonly temporal: TemporalStatus;
  /** Absent where MinIO was never asked for. */
  readonly minio?: MinioStatus;
}

/** A server that is started only where it is asked for. */
export const EXTRA_SERVERS = ['minio'] as const;
export type ExtraServer = (typeof EXTRA_SERVERS)[number];

export interface ServersOptions {
  /** Default: `stateDirectory()`. */
  readonly stateDir?: string;
}

export interface ServersUpOptions
  extends ServersOptions, Pick<DevServerOptions, 'port' | 'uiPort' | 'headless' | 'namespace'> {
  readonly with?: readonly ExtraServer[];
  readonly progress?: ProvisionProgress;
  readonly notify?: (message: string) => void;
  readonly signal?: AbortSignal;
}

/** Where the servers of a project keep their data: RATCHET_HOME, else `.ratchet` in the current folder. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.RATCHET_HOME || '.ratchet'); // set to nothing is not set
}

/** Provides the binaries and starts the servers so that they outlive this process. Idempotent. */
export async function serversUp(options: ServersUpOptions = {}): Promise<ServersStatus> {
  await startTemporal({ ...options, lifetime: 'until-down' });
  if (options.with?.includes('minio')) await startOwnMinio(options);
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

async function startOwnMinio({
  stateDir = stateDirectory(),
  progress = renderProvisionProgress(),
  notify = (message) => console.error(message),
  signal,
}: ServersUpOptions): Promise<void> {
  const stop = signal === undefined ? {} : { signal };
  const { path } = await provision(minioSpec, { progress, ...stop });
  await startMinio({ stateDir, binary: path, lifetime: 'until-down', notify, ...stop });
}

/** Stops whatever servers run on the state folder's data, whoever started them. Idempotent. */
export async function serversDown({
  stateDir = stateDirectory(),
}: ServersOptions = {}): Promise<ServersStatus> {
  if (!existsSync(stateDir)) return { temporal: { state: 'stopped' } };
  const { database, lock } = await stateFiles(stateDir);
  await withFileLock(lock, () => stopDevServer(database, { processes: processTable }));
  const minio = await minioFiles(stateDir);
  if (existsSync(minio.data)) {
    await withFileLock(minio.lock, () =>
      stopServer(MINIO, minio.data, { processes: processTable }),
    );
  }
  return serversStatus({ stateDir });
}

export async function serversStatus({
  stateDir = stateDirectory(),
}: ServersOptions = {}): Promise<ServersStatus> {
  if (!existsSync(stateDir)) return { temporal: { state: 'stopped' } }; // asking leaves no traces
  const { database } = await stateFiles(stateDir);
  const running = await findDevServer(processTable, database);
  const minio = await minioStatus(stateDir);
  return {
    temporal: running === undefined ? { state: 'stopped' } : { state: 'running', ...running },
    ...(minio === undefined ? {} : { minio }),
  };
}

async function minioStatus(stateDir: string): Promise<MinioStatus | undefined> {
  const { data, credentials: secretIn } = await minioFiles(stateDir);
  if (!existsSync(data)) return undefined;
  const running = await findServer(MINIO, processTable, data);
  if (running === undefined) return { state: 'stopped' };
  const { accessKeyId } = await readMinioCredentials(secretIn);
  return {
    state: 'running',
    ...running,
    environment: minioEnvironment(running.endpoint, accessKeyId),
    secretIn,
  };
}

/**
 * The variables with which our processes use the servers that run here, the secret among them.
 *
 * @throws {InvalidInputError} if MinIO does not run: then there is nothing to set.
 */
export async function serversEnvironment({
  stateDir = stateDirectory(),
}: ServersOptions = {}): Promise<Readonly<Record<string, string>>> {
  const { minio } = await serversStatus({ stateDir });
  if (minio?.state !== 'running') {
    throw new InvalidInputError(
      'MinIO does not run here: start it with `ratchet servers up --with minio`',
      {
        context: { stateDir },
      },
    );
  }
  const { secretAccessKey } = await readMinioCredentials(minio.secretIn);
  return { ...minio.environment, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

function minioEnvironment(endpoint: string, accessKeyId: string): Record<string, string> {
  return {
    RATCHET_STORE: `s3://${MINIO_BUCKET}`,
    RATCHET_S3_ENDPOINT: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: accessKeyId,
  };
}

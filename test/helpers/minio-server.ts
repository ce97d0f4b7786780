import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { createS3Bucket, type S3Options } from '../../src/adapters/s3-store';
import { type Minio, minioFiles, startMinio } from '../../workers/servers/minio';
import { MINIO, type RunningMinio } from '../../workers/servers/minio-process';
import { anyFreePort } from '../../workers/servers/ports';
import { processIdentity, processTable } from '../../workers/servers/process-table';
import { provision } from '../../workers/servers/provision';
import { renderProvisionProgress } from '../../workers/servers/provision-progress';
import { findServer, stopServer } from '../../workers/servers/server-process';
import { minioSpec } from '../../workers/servers/server-spec';

/** How to reach a MinIO: what an S3 client needs but for the bucket. */
export interface TestMinioAccess {
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface TestMinio extends TestMinioAccess {
  /** The variables with which a process of ours uses this bucket. */
  environment(bucket: string): Record<string, string>;
  /** As pulling the plug would; returns when the process is gone. */
  kill(): Promise<void>;
  /** Again on the same port and data, after `kill`. */
  start(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

const FOLDER_PREFIX = 'ratchet-minio-';

/** A MinIO of its own: a free port, its data in a temporary folder that goes when it stops. */
export async function startTestMinio(
  env: Readonly<Record<string, string>> = {},
): Promise<TestMinio> {
  const binary = await minioBinary();
  // The pid in the name tells later runs whether the one that made it still lives.
  const folder = await mkdtemp(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  const port = await anyFreePort();
  const start = (): Promise<Minio> =>
    startMinio({
      stateDir: folder,
      binary,
      lifetime: 'with-parent',
      detached: false, // Ctrl-C on the test run must end it, and globalTeardown does not run then
      port,
      env,
    });
  const { endpoint, credentials, data } = await start();
  return {
    endpoint,
    credentials,
    environment: (bucket) => minioEnvironment({ endpoint, credentials }, bucket),
    async kill() {
      const running = await findServer(MINIO, processTable, data);
      if (running === undefined) return;
      process.kill(running.pid, 'SIGKILL');
      await gone(data);
    },
    async start() {
      await start();
    },
    async stop() {
      await stopServer(MINIO, data, { processes: processTable, graceMs: 2_000 });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The server that all test files of this run share: a bucket for each file, a prefix for each test. */
export function sharedMinio(): TestMinioAccess {
  const endpoint = process.env.TEST_MINIO_ENDPOINT;
  const accessKeyId = process.env.TEST_MINIO_ACCESS_KEY_ID;
  const secretAccessKey = process.env.TEST_MINIO_SECRET_ACCESS_KEY;
  if (!endpoint || !accessKeyId || !secretAccessKey) {
    throw new Error('TEST_MINIO_ENDPOINT is not set: this jest project needs minio-setup.cjs');
  }
  return { endpoint, credentials: { accessKeyId, secretAccessKey } };
}

export function minioEnvironment(
  { endpoint, credentials }: TestMinioAccess,
  bucket: string,
): Record<string, string> {
  return {
    RATCHET_STORE: `s3://${bucket}`,
    RATCHET_S3_ENDPOINT: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
}

/** A new bucket, as the options of a store in it. */
export async function newBucket(minio: TestMinioAccess = sharedMinio()): Promise<S3Options> {
  const { endpoint, credentials } = minio;
  const bucket = `test-${randomBytes(8).toString('hex')}`;
  const options = { bucket, endpoint, credentials, region: 'us-east-1' };
  await createS3Bucket(options);
  return options;
}

let shared: TestMinio | undefined;

/** For jest's globalSetup: what it puts into the environment reaches the test processes, which start after it. */
export async function setUpSharedMinio(): Promise<void> {
  if (process.env.TEST_MINIO_ENDPOINT) return; // the caller brought one
  await removeLeftovers();
  shared = await startTestMinio();
  process.env.TEST_MINIO_ENDPOINT = shared.endpoint;
  process.env.TEST_MINIO_ACCESS_KEY_ID = shared.credentials.accessKeyId;
  process.env.TEST_MINIO_SECRET_ACCESS_KEY = shared.credentials.secretAccessKey;
}

export async function tearDownSharedMinio(): Promise<void> {
  await shared?.stop();
  shared = undefined;
}

async function minioBinary(): Promise<string> {
  return (await provision(minioSpec, { progress: renderProvisionProgress() })).path;
}

async function gone(data: string): Promise<void> {
  while ((await findServer<RunningMinio>(MINIO, processTable, data)) !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Ends the servers of test runs that were killed, and removes their folders. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(FOLDER_PREFIX) || (await ownerLives(name))) continue;
    const folder = join(tmpdir(), name);
    const { data } = await minioFiles(folder);
    await stopServer(MINIO, data, { processes: processTable, graceMs: 2_000 });
    await rm(folder, { recursive: true, force: true });
  }
}

async function ownerLives(folder: string): Promise<boolean> {
  const pid = Number(/^\d+/.exec(folder.slice(FOLDER_PREFIX.length))?.[0]);
  return !Number.isInteger(pid) || (await processIdentity(pid)) !== undefined;
}

import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { createS3Bucket } from '../../src/adapters/s3-store';
import { InvalidInputError } from '../../src/errors';
import { withFileLock } from './file-lock';
import { ensureMinioCredentials, type MinioCredentials } from './minio-credentials';
import { MINIO, minioArguments, type RunningMinio } from './minio-process';
import { freePort, LOOPBACK } from './ports';
import type { ProcessTable } from './process-table';
import { processTable } from './process-table';
import { launchServer, rotateLog } from './server-launch';
import {
  isOrphaned,
  isOwnedByUs,
  ownerFor,
  ownerSchema,
  readNote,
  writeNote,
} from './server-owner';
import type { Owner } from './server-owner';
import { findServer, stopServer } from './server-process';

export interface MinioOptions {
  /** Holds the data, the credentials, the log and a note about them; made if it is not there. */
  readonly stateDir: string;
  /** A `minio` binary, as `provision` returns it. */
  readonly binary: string;
  /** `until-down`: outlives this process. `with-parent`: `stop()` ends it, and so does the next start if this process dies. */
  readonly lifetime: Owner['lifetime'];
  /** Without it the one that it had last, else the first free one from 9000 on. */
  readonly port?: number;
  /** False leaves it in this process's group, so that a terminal's Ctrl-C ends both. */
  readonly detached?: boolean;
  readonly readyTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Told what a person should know. */
  readonly notify?: (message: string) => void;
  readonly processes?: ProcessTable;
  /** Variables of MinIO's own, for tests. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Minio extends RunningMinio {
  /** False if it ran already. */
  readonly started: boolean;
  readonly log: string;
  readonly bucket: string;
  readonly credentials: MinioCredentials;
  /** Ends the server if this process owns it: it was started `with-parent` here, and nobody ran `servers up` since. */
  stop(): Promise<void>;
}

export interface MinioFiles {
  readonly stateDir: string;
  readonly data: string;
  readonly credentials: string;
  readonly note: string;
  readonly log: string;
  readonly lock: string;
}

interface Context extends MinioOptions {
  readonly notify: (message: string) => void;
  readonly processes: ProcessTable;
  readonly files: MinioFiles;
  readonly credentials: MinioCredentials;
}

/** The bucket that is there from the start. */
export const MINIO_BUCKET = 'ratchet';

const FIRST_PORT = 9000;
const READY_TIMEOUT_MS = 30_000;
/** A running server that does not answer for this long hangs, and is replaced. */
const REUSE_TIMEOUT_MS = 20_000;
const POLL_MS = 50;

const noteSchema = ownerSchema.extend({ port: z.number().int() });

/** Absolute and free of links: the folder of the data is how a running server is known again. `stateDir` must exist. */
export async function minioFiles(stateDir: string): Promise<MinioFiles> {
  const real = await realpath(stateDir);
  return {
    stateDir: real,
    data: join(real, 'minio'),
    credentials: join(real, 'minio-credentials.json'),
    note: join(real, 'minio.json'),
    log: join(real, 'minio.log'),
    lock: join(real, 'minio.lock'),
  };
}

/**
 * Starts MinIO on the state folder's data, or uses the one that runs on it already. Returns when it serves and the bucket is there. Several
 * processes may call it at once.
 *
 * @throws {InvalidInputError} if it cannot start for a reason that stays: the message ends with the end of its log.
 * @throws {TransientError} if it does not serve in time.
 */
export async function startMinio(options: MinioOptions): Promise<Minio> {
  await mkdir(options.stateDir, { recursive: true });
  const files = await minioFiles(options.stateDir);
  const notify = options.notify ?? (() => undefined);
  return withFileLock(
    files.lock,
    async () => {
      const context: Context = {
        ...options,
        notify,
        processes: options.processes ?? processTable,
        files,
        credentials: await ensureMinioCredentials(files.credentials),
      };
      return (await reuse(context)) ?? (await start(context));
    },
    {
      signal: options.signal,
      onWait: (holder) => notify(`waiting for ${holder}, which starts or stops the server`),
    },
  );
}

/** Whether it answers that it can read and write, before the time is over; false at once if the server is gone. */
export async function isMinioServing(
  endpoint: string,
  timeoutMs: number,
  isGone: () => boolean = () => false,
): Promise<boolean> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline && !isGone();) {
    try {
      const { ok } = await fetch(`${endpoint}/minio/health/ready`, {
        signal: AbortSignal.timeout(Math.min(timeoutMs, 5_000)),
      });
      if (ok) return !isGone();
    } catch {
      // It does not listen yet: the reason for asking again.
    }
    await sleep(POLL_MS);
  }
  return false;
}

async function reuse(context: Context): Promise<Minio | undefined> {
  const { files, processes, notify, lifetime } = context;
  const running = await findServer(MINIO, processes, files.data);
  if (running === undefined) return undefined;
  if (!(await isMinioServing(running.endpoint, REUSE_TIMEOUT_MS))) {
    notify(`the MinIO server (process ${running.pid}) does not answer and is replaced`);
    await stopServer(MINIO, files.data, { processes });
    return undefined;
  }
  const note = await readNote(files.note, noteSchema);
  const port = Number(new URL(running.endpoint).port);
  if (lifetime === 'until-down') {
    await writeNote(files.note, { ...(await ownerFor('until-down')), port });
  } else if (note !== undefined && (await isOrphaned(note))) {
    notify(`using the MinIO server that an earlier run left behind (process ${running.pid})`);
    await writeNote(files.note, { ...(await ownerFor('with-parent')), port });
  }
  if (context.port !== undefined && context.port !== port) {
    notify(
      `the MinIO server runs already, at ${running.endpoint}: port ${context.port} is not used`,
    );
  }
  await makeBucket(context, running.endpoint);
  return toHandle(context, running, false);
}

async function start(context: Context): Promise<Minio> {
  const { files, binary, lifetime, credentials, readyTimeoutMs = READY_TIMEOUT_MS } = context;
  await mkdir(files.data, { recursive: true, mode: 0o700 });
  const before = await readNote(files.note, noteSchema);
  const owner = await ownerFor(lifetime);
  await rotateLog(files.log);
  for (let from = context.port ?? FIRST_PORT, preferred = before?.port; ;) {
    const port = await freePort({ wanted: context.port, preferred, from });
    // Written first: if this process dies in the next line, the next one knows what to do with the server.
    await writeNote(files.note, { ...owner, port });
    const endpoint = `http://${LOOPBACK}:${port}`;
    const pid = await launchServer({
      title: MINIO.title,
      binary,
      args: minioArguments(port, files.data),
      env: minioEnvironment(credentials, context.env),
      cwd: files.stateDir,
      log: files.log,
      readyTimeoutMs,
      isServing: (isGone) => isMinioServing(endpoint, readyTimeoutMs, isGone),
      // Also tells a server that was faster on this port from ours: it has other credentials.
      whenServing: () => makeBucket(context, endpoint),
      portTaken: /address already in use|port is already in use/i,
      explain: () => `; the end of ${files.log}:`,
      ...(context.detached === undefined ? {} : { detached: context.detached }),
      ...(context.signal === undefined ? {} : { signal: context.signal }),
    });
    if (pid !== 'port-taken') return toHandle(context, { pid, endpoint, data: files.data }, true);
    if (context.port !== undefined) {
      throw new InvalidInputError('the port that was asked for is taken', { context: { port } });
    }
    preferred = undefined;
    from = port + 1;
  }
}

async function makeBucket({ credentials }: Context, endpoint: string): Promise<void> {
  await createS3Bucket({ bucket: MINIO_BUCKET, endpoint, region: 'us-east-1', credentials });
}

/** The user's own settings, of another MinIO, must not reach this one. */
function minioEnvironment(
  { accessKeyId, secretAccessKey }: MinioCredentials,
  own: Readonly<Record<string, string>> = {},
): NodeJS.ProcessEnv {
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith('MINIO_'));
  return {
    ...Object.fromEntries(others),
    MINIO_ROOT_USER: accessKeyId,
    MINIO_ROOT_PASSWORD: secretAccessKey,
    MINIO_BROWSER: 'off',
    MINIO_UPDATE: 'off', // it would ask its publisher for a newer version
    ...own,
  };
}

function toHandle(context: Context, running: RunningMinio, started: boolean): Minio {
  const { files, processes, credentials } = context;
  return {
    ...running,
    started,
    log: files.log,
    bucket: MINIO_BUCKET,
    credentials,
    stop: () =>
      withFileLock(files.lock, async () => {
        if (!(await isOwnedByUs(await readNote(files.note, noteSchema)))) return;
        await stopServer(MINIO, files.data, { processes });
      }),
  };
}

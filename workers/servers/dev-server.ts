import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '../../src/errors';
import { isServing, launchDevServer } from './dev-server-launch';
import type { RunningDevServer } from './dev-server-process';
import { findDevServer, stopDevServer } from './dev-server-process';
import type { DevServerRecord } from './dev-server-record';
import { prepareDatabase, readRecord, writeRecord } from './dev-server-record';
import type { Exec } from './exec';
import { exec as realExec } from './exec';
import { withFileLock } from './file-lock';
import { operatorCommand } from './operator-command';
import { DEFAULT_PORT, freePorts, LOOPBACK } from './ports';
import type { ProcessTable } from './process-table';
import { processTable } from './process-table';
import { ensureSearchAttributes } from './search-attributes';
import { rotateLog } from './server-launch';
import { isOrphaned, isOwnedByUs, ownerFor } from './server-owner';

export interface DevServerOptions {
  /** Holds the database, the log and a note about them; made if it is not there. */
  readonly stateDir: string;
  /** A `temporal` binary, as `provision` returns it. */
  readonly binary: string;
  /** `until-down`: outlives this process. `with-parent`: `stop()` ends it, and so does the next start if this process dies. */
  readonly lifetime: DevServerRecord['lifetime'];
  /** The gRPC port; without it the first free one from 7233 on. The UI's is 1000 above, unless given. */
  readonly port?: number;
  readonly uiPort?: number;
  readonly headless?: boolean;
  readonly namespace?: string;
  /** False leaves it in this process's group, so that a terminal's Ctrl-C ends both. */
  readonly detached?: boolean;
  readonly readyTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Told what a person should know: another port, a leftover that is used again. */
  readonly notify?: (message: string) => void;
  readonly exec?: Exec;
  readonly processes?: ProcessTable;
}

export interface DevServer extends RunningDevServer {
  /** False if it ran already. */
  readonly started: boolean;
  readonly log: string;
  /** Ends the server if this process owns it: it was started `with-parent` here, and nobody ran `servers up` since. */
  stop(): Promise<void>;
}

interface Context extends DevServerOptions {
  readonly namespace: string;
  readonly readyTimeoutMs: number;
  readonly notify: (message: string) => void;
  readonly exec: Exec;
  readonly processes: ProcessTable;
  readonly files: StateFiles;
}

export interface StateFiles {
  readonly stateDir: string;
  readonly database: string;
  readonly log: string;
  readonly lock: string;
}

/** Absolute and free of links: the database's path is how a running server is known again. The folder must exist. */
export async function stateFiles(stateDir: string): Promise<StateFiles> {
  const real = await realpath(stateDir);
  return {
    stateDir: real,
    database: join(real, 'temporal.db'),
    log: join(real, 'temporal.log'),
    lock: join(real, 'temporal.lock'),
  };
}

/** A running server that does not answer for this long hangs, and is replaced. */
const REUSE_TIMEOUT_MS = 20_000;

/**
 * Starts Temporal's dev server on the state folder's database, or uses the one that runs on it already. Returns when it
 * serves and the search attributes are registered. Several processes may call it at once.
 *
 * @throws {InvalidInputError} if it cannot start for a reason that stays: the message ends with the end of its log.
 * @throws {TransientError} if it does not serve in time.
 */
export async function startDevServer(options: DevServerOptions): Promise<DevServer> {
  await mkdir(options.stateDir, { recursive: true });
  const context: Context = {
    ...options,
    namespace: options.namespace ?? 'default',
    readyTimeoutMs: options.readyTimeoutMs ?? 60_000,
    notify: options.notify ?? (() => undefined),
    exec: options.exec ?? realExec,
    processes: options.processes ?? processTable,
    files: await stateFiles(options.stateDir),
  };
  const { lock } = context.files;
  return withFileLock(lock, async () => (await reuse(context)) ?? (await start(context)), {
    signal: options.signal,
    onWait: (holder) => context.notify(`waiting for ${holder}, which starts or stops the server`),
  });
}

async function reuse(context: Context): Promise<DevServer | undefined> {
  const { processes, files, notify } = context;
  const running = await findDevServer(processes, files.database);
  if (running === undefined) return undefined;
  if (!(await isServing({ ...context, address: running.address }, REUSE_TIMEOUT_MS))) {
    notify(`the Temporal server (process ${running.pid}) does not answer and is replaced`);
    await stopDevServer(files.database, { processes });
    return undefined;
  }
  const record = await readRecord(files.stateDir);
  const madeBy = record?.database.madeBy ?? (await versionOf(context));
  const database = { state: 'ready', madeBy } as const; // it serves
  if (context.lifetime === 'until-down') {
    await writeRecord(files.stateDir, { ...(await ownerFor('until-down')), database });
  } else if (record !== undefined && (await isOrphaned(record))) {
    notify(`using the Temporal server that an earlier run left behind (process ${running.pid})`);
    await writeRecord(files.stateDir, { ...(await ownerFor('with-parent')), database });
  } else if (record?.database.state === 'creating') {
    await writeRecord(files.stateDir, { ...record, database });
  }
  if (context.port !== undefined && running.address !== `${LOOPBACK}:${context.port}`) {
    notify(
      `the Temporal server runs already, at ${running.address}: port ${context.port} is not used`,
    );
  }
  await register(context, running.address);
  return toHandle(context, running, false);
}

async function start(context: Context): Promise<DevServer> {
  const { files, notify } = context;
  const version = await versionOf(context);
  const before = await readRecord(files.stateDir);
  const database = await prepareDatabase(files.database, before, version, notify);
  const owner = await ownerFor(context.lifetime);
  // Written first: if this process dies in the next line, the next one knows what to do with the server.
  await writeRecord(files.stateDir, { ...owner, database });
  await rotateLog(files.log);

  for await (const ports of freePorts(context)) {
    const running = await launchDevServer({
      ...context,
      ...files,
      port: ports.port,
      uiPort: context.headless === true ? undefined : ports.uiPort,
      whenServing: (address) => register(context, address),
    });
    if (running === 'port-taken') continue; // someone was faster between the probe and the server's own listen
    if (context.port === undefined && ports.port !== DEFAULT_PORT) {
      notify(
        `port ${DEFAULT_PORT} or its UI's is taken by something else: Temporal is at ${running.address}`,
      );
    }
    await writeRecord(files.stateDir, { ...owner, database: { ...database, state: 'ready' } });
    return toHandle(context, running, true);
  }
  throw new InvalidInputError('the ports that were asked for are taken');
}

async function register(context: Context, address: string): Promise<void> {
  const { exec, binary, signal, namespace } = context;
  const added = await ensureSearchAttributes(
    operatorCommand(exec, binary, address, signal),
    namespace,
  );
  if (added.length > 0) context.notify(`registered the search attributes ${added.join(', ')}`);
}

function toHandle(context: Context, running: RunningDevServer, started: boolean): DevServer {
  const { files, processes } = context;
  return {
    ...running,
    started,
    log: files.log,
    stop: () =>
      withFileLock(files.lock, async () => {
        if (!(await isOwnedByUs(await readRecord(files.stateDir)))) return;
        await stopDevServer(files.database, { processes });
      }),
  };
}

async function versionOf({ exec, binary, signal }: Context): Promise<string> {
  const { stdout } = await exec(binary, ['--version'], signal === undefined ? {} : { signal });
  return stdout.trim();
}

import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidInputError, TransientError } from '../../src/errors';
import { isErrno } from './errno';
import { LOOPBACK } from './ports';
import type { ProcessEntry, ProcessTable } from './process-table';

export interface RunningDevServer {
  readonly pid: number;
  readonly address: string;
  /** Absent if it runs headless. */
  readonly ui?: string;
  readonly database: string;
}

export interface DevServerArguments {
  readonly database: string;
  readonly port: number;
  readonly uiPort: number | undefined;
  readonly namespace: string;
  readonly searchAttributes: Readonly<Record<string, string>>;
}

/** The command line that starts a server, and by which it is known again: the database comes last, as its path may hold spaces. */
export function devServerArguments(options: DevServerArguments): readonly string[] {
  const { uiPort } = options;
  return [
    ...['server', 'start-dev', '--ip', LOOPBACK, '--port', String(options.port)],
    ...(uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)]),
    '--ui-disable-news-fetch',
    ...['--namespace', options.namespace],
    ...Object.entries(options.searchAttributes).flatMap(([name, type]) => [
      '--search-attribute',
      `${name}=${type}`,
    ]),
    ...['--db-filename', options.database],
  ];
}

/** Reads back what `devServerArguments` wrote; undefined for every other process. */
export function parseDevServer({ pid, argv }: ProcessEntry): RunningDevServer | undefined {
  const start = argv.indexOf('start-dev');
  const file = argv.indexOf('--db-filename');
  const port = argv.indexOf('--port');
  if (start < 1 || argv[start - 1] !== 'server' || port < start || file < port) return undefined;
  const ui = argv.indexOf('--ui-port');
  return {
    pid,
    address: `${LOOPBACK}:${argv[port + 1]}`,
    ...(ui < 0 ? {} : { ui: `http://${LOOPBACK}:${argv[ui + 1]}` }),
    database: argv.slice(file + 1).join(' '),
  };
}

/**
 * Finds the server that has this database open. The process table is the record: a pid file can be stale, or missing
 * when its writer was killed, and a second server on the same database would damage it.
 */
export async function findDevServer(
  processes: ProcessTable,
  database: string,
): Promise<RunningDevServer | undefined> {
  return (await processes())
    .map(parseDevServer)
    .find((server) => server !== undefined && server.database === database);
}

export interface StopOptions {
  readonly processes: ProcessTable;
  readonly graceMs?: number;
  readonly pollMs?: number;
}

/**
 * Ends the server of a database: SIGTERM, then SIGKILL after `graceMs`. Before each signal the process is looked up
 * again by its command line, so nothing else is ever hit.
 *
 * @returns what was stopped; undefined if nothing ran.
 * @throws {InvalidInputError} if it belongs to another user.
 * @throws {TransientError} if it is still there after SIGKILL.
 */
export async function stopDevServer(
  database: string,
  { processes, graceMs = 10_000, pollMs = 100 }: StopOptions,
): Promise<RunningDevServer | undefined> {
  const stopped = await findDevServer(processes, database);
  if (stopped === undefined) return undefined;
  for (const [signal, patienceMs] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 5_000],
  ] as const) {
    const server = await findDevServer(processes, database);
    if (server === undefined) return stopped;
    sendSignal(server.pid, signal);
    const deadline = Date.now() + patienceMs;
    while (Date.now() < deadline) {
      if ((await findDevServer(processes, database)) === undefined) return stopped;
      await sleep(pollMs);
    }
  }
  throw new TransientError('the Temporal server does not end, even by SIGKILL', {
    context: { pid: stopped.pid },
  });
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if (isErrno(cause, 'ESRCH')) return; // ended by itself just now
    throw new InvalidInputError(
      'the Temporal server cannot be stopped: it belongs to another user',
      {
        context: { pid },
        cause,
      },
    );
  }
}

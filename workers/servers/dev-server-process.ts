import { LOOPBACK } from './ports';
import type { ProcessEntry, ProcessTable } from './process-table';
import type { ServerKind, StopOptions } from './server-process';
import { findServer, stopServer } from './server-process';

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

const DEV_SERVER: ServerKind<RunningDevServer> = {
  title: 'Temporal server',
  parse: parseDevServer,
  dataOf: ({ database }) => database,
};

/** Finds the server that has this database open, by its command line. */
export function findDevServer(
  processes: ProcessTable,
  database: string,
): Promise<RunningDevServer | undefined> {
  return findServer(DEV_SERVER, processes, database);
}

/** Ends the server of a database; see `stopServer`. */
export function stopDevServer(
  database: string,
  options: StopOptions,
): Promise<RunningDevServer | undefined> {
  return stopServer(DEV_SERVER, database, options);
}

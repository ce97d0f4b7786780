import { LOOPBACK } from './ports';
import type { ProcessEntry } from './process-table';
import type { ServerKind } from './server-process';

export interface RunningMinio {
  readonly pid: number;
  readonly endpoint: string;
  /** The folder of its objects, which are not plain files. */
  readonly data: string;
}

/** The command line that starts a server, and by which it is known again: the folder comes last, as its path may hold spaces. */
export function minioArguments(port: number, data: string): readonly string[] {
  return ['server', '--address', `${LOOPBACK}:${port}`, data];
}

/** Reads back what `minioArguments` wrote; undefined for every other process. */
export function parseMinio({ pid, argv }: ProcessEntry): RunningMinio | undefined {
  const address = argv.indexOf('--address');
  if (address < 2 || argv[address - 1] !== 'server') return undefined;
  const [host, ...data] = argv.slice(address + 1);
  if (host === undefined || data.length === 0) return undefined;
  return { pid, endpoint: `http://${host}`, data: data.join(' ') };
}

export const MINIO: ServerKind<RunningMinio> = {
  title: 'MinIO server',
  parse: parseMinio,
  dataOf: ({ data }) => data,
};

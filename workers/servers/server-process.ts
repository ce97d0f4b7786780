import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidInputError, TransientError } from '../../src/errors';
import { isErrno } from './errno';
import type { ProcessEntry, ProcessTable } from './process-table';

/** How the processes of one kind of server are told from all others. */
export interface ServerKind<T extends { readonly pid: number }> {
  /** Begins messages. */
  readonly title: string;
  /** Reads a server back from its command line; undefined for every other process. */
  readonly parse: (entry: ProcessEntry) => T | undefined;
  /** The file or folder that it alone has open, and by which it is known again. */
  readonly dataOf: (server: T) => string;
}

/**
 * Finds the server that has this data open. The process table is the record: a pid file can be stale, or missing when its
 * writer was killed, and a second server on the same data would damage it.
 */
export async function findServer<T extends { readonly pid: number }>(
  kind: ServerKind<T>,
  processes: ProcessTable,
  data: string,
): Promise<T | undefined> {
  return (await processes())
    .map(kind.parse)
    .find((server) => server !== undefined && kind.dataOf(server) === data);
}

export interface StopOptions {
  readonly processes: ProcessTable;
  readonly graceMs?: number;
  readonly pollMs?: number;
}

/**
 * Ends the server of some data: SIGTERM, then SIGKILL after `graceMs`. Before each signal the process is looked up again by
 * its command line, so nothing else is ever hit.
 *
 * @returns what was stopped; undefined if nothing ran.
 * @throws {InvalidInputError} if it belongs to another user.
 * @throws {TransientError} if it is still there after SIGKILL.
 */
export async function stopServer<T extends { readonly pid: number }>(
  kind: ServerKind<T>,
  data: string,
  { processes, graceMs = 10_000, pollMs = 100 }: StopOptions,
): Promise<T | undefined> {
  const stopped = await findServer(kind, processes, data);
  if (stopped === undefined) return undefined;
  for (const [signal, patienceMs] of [
    ['SIGTERM', graceMs],
    ['SIGKILL', 5_000],
  ] as const) {
    const server = await findServer(kind, processes, data);
    if (server === undefined) return stopped;
    sendSignal(kind.title, server.pid, signal);
    const deadline = Date.now() + patienceMs;
    while (Date.now() < deadline) {
      if ((await findServer(kind, processes, data)) === undefined) return stopped;
      await sleep(pollMs);
    }
  }
  throw new TransientError(`the ${kind.title} does not end, even by SIGKILL`, {
    context: { pid: stopped.pid },
  });
}

function sendSignal(title: string, pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (cause) {
    if (isErrno(cause, 'ESRCH')) return; // ended by itself just now
    throw new InvalidInputError(`the ${title} cannot be stopped: it belongs to another user`, {
      context: { pid },
      cause,
    });
  }
}

import { connect, createServer } from 'node:net';
import { InvalidInputError } from '../../src/errors';

export const LOOPBACK = '127.0.0.1';
export const DEFAULT_PORT = 7233;
const UI_OFFSET = 1000;
const TRIES = 100;

export interface DevServerPorts {
  readonly port: number;
  readonly uiPort: number;
}

export type PortProbe = (port: number) => Promise<boolean>;

/**
 * The pairs of ports to try, in order. A port that the user asked for is the only one; otherwise 7233 and 8233 (what the
 * `temporal` CLI and its users expect), then 7234 and 8234, and so on.
 *
 * @throws {InvalidInputError} if a port that was asked for, or every pair, is taken.
 */
export async function* freePorts(
  wanted: Partial<DevServerPorts>,
  isFree: PortProbe = isPortFree,
): AsyncGenerator<DevServerPorts> {
  const pairs =
    wanted.port === undefined
      ? Array.from({ length: TRIES }, (_, i) => pair(DEFAULT_PORT + i, wanted.uiPort))
      : [pair(wanted.port, wanted.uiPort)];
  for (const { port, uiPort } of pairs) {
    if ((await isFree(port)) && (await isFree(uiPort))) yield { port, uiPort };
  }
  const last = pairs[pairs.length - 1]!; // never empty
  throw new InvalidInputError(
    'no free pair of ports for the Temporal server and its UI: free one, or ask for others',
    {
      context: { from: `${pairs[0]!.port}/${pairs[0]!.uiPort}`, to: `${last.port}/${last.uiPort}` },
    },
  );
}

const pair = (port: number, uiPort = port + UI_OFFSET): DevServerPorts => ({ port, uiPort });

export interface PortWish {
  /** The only one that will do. */
  readonly wanted?: number | undefined;
  /** The one to take if it is free. */
  readonly preferred?: number | undefined;
  /** The first of those to take otherwise. */
  readonly from: number;
}

/** @throws {InvalidInputError} if the wanted port, or each of a hundred, is taken. */
export async function freePort(
  { wanted, preferred, from }: PortWish,
  isFree: PortProbe = isPortFree,
): Promise<number> {
  const others = Array.from({ length: TRIES }, (_, i) => from + i);
  const ports = wanted === undefined ? [preferred ?? from, ...others] : [wanted];
  for (const port of ports) if (await isFree(port)) return port;
  throw new InvalidInputError('no port is free: free one, or ask for another', {
    context: { from: wanted ?? from, to: ports.at(-1) },
  });
}

/** Free means that nobody answers and that we may listen: on some systems a port taken on all addresses passes the second. */
export async function isPortFree(port: number): Promise<boolean> {
  return !(await answers(port)) && (await canListen(port));
}

/** A port that was free a moment ago, chosen by the system: for tests. */
export async function anyFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, LOOPBACK, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') {
    throw new InvalidInputError('expected a TCP address of a listening server, got none');
  }
  return address.port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: LOOPBACK });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true)).once('error', () => done(false));
  });
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, LOOPBACK, () => server.close(() => resolve(true)));
  });
}

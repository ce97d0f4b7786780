import cluster, { type Worker } from 'node:cluster';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { distPath } from '../src/adapters/dist-path';
import { describeError, TransientError } from '../src/errors';
import type { Environment } from './env';
import { FromProcess, type ToProcess } from './gateway-messages';
import { createFleetReports } from './gateway-reports';
import { createLog } from './log';
import { NODE_FLAGS } from './node-flags';

/** Before a process that ended by itself is started again; doubled with each that follows. */
const BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;
/** One that has lived so long starts with the shortest pause again. */
const WELL_AFTER_MS = 60_000;
/** How often processes are asked for their counters: so much at most is missing of one that dies. */
const REPORTS_EVERY_MS = 5_000;
/** What a process may take beyond its own time for stopping. */
const KILL_AFTER_MS = 5_000;

/**
 * Starts the processes of a gateway and keeps them running until `signal` aborts. They are `ratchet gateway` too, and share one port (node:cluster); each
 * has its own spool folder, and keeps nothing else. One that ends by itself is started again; what it had in its spool another one drains.
 *
 * @param onReady is called with the base URL once all of them serve.
 * @throws {TransientError} if one ends before it ever served: its own message is on standard error.
 */
export async function runGatewayProcesses(
  env: Environment,
  signal: AbortSignal,
  onReady: (url: string) => void,
): Promise<void> {
  const log = createLog(env.log, { role: 'gateway' });
  const { host, processes: expected } = env.gateway;
  const port = env.gateway.port === 0 ? await freePort(host) : env.gateway.port;
  const reports = createFleetReports();
  const living = new Map<Worker, Promise<void>>();
  const pauses = new Set<NodeJS.Timeout>();
  let [restarts, isStarting] = [0, true];

  cluster.setupPrimary({
    ...{ exec: distPath('workers/cli.js'), args: ['gateway'] },
    execArgv: [...NODE_FLAGS],
  });
  const variables = { RATCHET_GATEWAY_PORT: String(port), RATCHET_END_WITH_STDIN: '0' };

  const gather = async (): Promise<Extract<ToProcess, { type: 'gathered' }>> => {
    const metrics = await reports.gather(restarts, expected);
    return {
      ...{ type: 'gathered', id: 0, metrics },
      processes: { running: reports.running(), expected, isStarting },
    };
  };

  /** @returns its URL once it serves. @throws {TransientError} if it ends before. */
  const start = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const worker = cluster.fork(variables);
      const startedAt = performance.now();
      const send = (message: ToProcess): void => {
        if (worker.isConnected()) worker.send(message);
      };
      worker.on('message', (received) => {
        const message = FromProcess.parse(received);
        if (message.type === 'ready') {
          reports.add(worker.id, send);
          resolve(message.url);
        } else if (message.type === 'reported') {
          reports.reported(worker.id, message.id, message.metrics);
        } else {
          void gather().then((gathered) => send({ ...gathered, id: message.id }));
        }
      });
      const ended = new Promise<void>((hasEnded) => {
        worker.once('exit', (code, killedBy) => {
          living.delete(worker);
          reports.remove(worker.id);
          hasEnded();
          const how = killedBy ?? `exit code ${code}`;
          reject(new TransientError(`a process of the gateway ended before it served: ${how}`));
          onExit(worker, how, performance.now() - startedAt);
        });
      });
      living.set(worker, ended);
    });

  let failures = 0; // in a row
  const onExit = ({ process: { pid } }: Worker, how: string, livedMs: number): void => {
    if (signal.aborted || isStarting) return;
    failures = livedMs >= WELL_AFTER_MS ? 1 : failures + 1;
    const pauseMs = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** (failures - 1));
    log.error('a process of the gateway ended by itself and is started again', {
      ...{ pid, how, pauseMs },
    });
    const pause = setTimeout(() => {
      pauses.delete(pause);
      restarts++;
      start().catch((error: unknown) =>
        log.error('a process of the gateway could not be started again', {
          error: describeError(error),
        }),
      );
    }, pauseMs);
    pauses.add(pause);
  };

  const asking = setInterval(() => void gather(), REPORTS_EVERY_MS);
  try {
    // The first alone: what is set up wrongly is said once, and what is made at the first start is made once.
    const url = await start();
    await Promise.all(Array.from({ length: expected - 1 }, start));
    isStarting = false;
    onReady(url);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    clearInterval(asking);
    pauses.forEach(clearTimeout);
    for (const worker of living.keys()) worker.process.kill('SIGTERM');
    const killing = setTimeout(() => {
      for (const worker of living.keys()) worker.process.kill('SIGKILL');
    }, env.shutdownGraceMs + KILL_AFTER_MS);
    await Promise.all(living.values());
    clearTimeout(killing);
  }
}

/** Chosen here, so that a process that is started again listens where the others do. */
function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause) =>
      reject(new TransientError('the gateway cannot listen', { context: { host }, cause })),
    );
    server.listen(0, host, () => {
      const { port } = server.address() as AddressInfo; // a string only for pipes
      server.close(() => resolve(port));
    });
  });
}

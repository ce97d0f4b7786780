import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { TransientError } from '../../errors';
import type { Gateway } from '../app';
import { assertSafe, peerFilter, type Exposure } from './exposure';
import {
  answerMalformed,
  answerUnreadable,
  DEFAULT_TIMEOUTS,
  serverOptions,
  type ServerTimeouts,
} from './server-limits';

export interface ServeOptions {
  /** @default 127.0.0.1: only this machine */
  readonly host?: string;
  /** @default 0: any free port */
  readonly port?: number;
  /** Needed for any other host than loopback. @default null: stated by nobody */
  readonly exposure?: Exposure | null;
  readonly timeouts?: ServerTimeouts;
}

export interface ServedGateway {
  /** `http://<host>:<port>`, or https; agents get this and `/v1` as their base URL. */
  readonly url: string;
  readonly port: number;
  /** Takes no new connections, lets the calls under way finish for at most `graceMs` (default 10 s), then cuts what is left. @returns how many it cut. */
  close(graceMs?: number): Promise<number>;
}

/**
 * @throws {InvalidInputError} if the host is not loopback and nothing says why that is safe.
 * @throws {TransientError} if the port is taken or may not be used.
 */
export async function serveGateway(
  app: Gateway,
  { host = '127.0.0.1', port = 0, exposure = null, timeouts = DEFAULT_TIMEOUTS }: ServeOptions = {},
): Promise<ServedGateway> {
  assertSafe(host, exposure);
  // Agents and SDKs may run in this process: their fetch keeps the Request and Response of Node.
  const answer = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: answerUnreadable,
  });
  // Rejects for nothing: what its handler does not answer it destroys.
  const listener: RequestListener = (incoming, outgoing) => void answer(incoming, outgoing);
  const options = serverOptions(timeouts);
  const server =
    exposure?.kind === 'tls'
      ? createHttpsServer(
          { ...options, cert: exposure.cert, key: exposure.key, handshakeTimeout: timeouts.head },
          listener,
        )
      : createHttpServer(options, listener);
  const mayConnect = peerFilter(exposure);
  server.prependListener('connection', (socket: Socket) => {
    if (!mayConnect(socket.remoteAddress)) socket.destroy();
  });
  answerMalformed(server);
  const address = await listen(server, host, port);
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `${exposure?.kind === 'tls' ? 'https' : 'http'}://${shownHost}:${address.port}`,
    port: address.port,
    close: (graceMs = 10_000) => close(server, graceMs),
  };
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error): void =>
      reject(new TransientError('the gateway cannot listen', { context: { host, port }, cause }));
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      resolve(server.address() as AddressInfo); // a string only for pipes
    });
  });
}

function close(server: Server, graceMs: number): Promise<number> {
  return new Promise((resolve) => {
    // A kept-alive connection whose call has just been answered counts as idle only then.
    const sweep = setInterval(() => server.closeIdleConnections(), 20);
    let cut = 0;
    const deadline = setTimeout(() => {
      // Idle ones are closed by now.
      server.getConnections((_, open) => {
        cut = open;
        server.closeAllConnections();
      });
    }, graceMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(deadline);
      resolve(cut);
    });
  });
}

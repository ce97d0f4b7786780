import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { TransientError } from '../../errors';
import type { Gateway } from '../app';

export interface ServeOptions {
  /** @default 127.0.0.1: only this machine */
  readonly host?: string;
  /** @default 0: any free port */
  readonly port?: number;
}

export interface ServedGateway {
  /** `http://<host>:<port>`; agents get this and `/v1` as their base URL. */
  readonly url: string;
  readonly port: number;
  /** Takes no new connections, lets the calls under way finish for at most `graceMs` (default 10 s), then cuts what is left. */
  close(graceMs?: number): Promise<void>;
}

/** @throws {TransientError} if the port is taken or may not be used. */
export async function serveGateway(
  app: Gateway,
  { host = '127.0.0.1', port = 0 }: ServeOptions = {},
): Promise<ServedGateway> {
  // Agents and SDKs may run in this process: their fetch keeps the Request and Response of Node.
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  const address = await listen(server, host, port);
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `http://${shownHost}:${address.port}`,
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

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A kept-alive connection whose call has just been answered counts as idle only then.
    const sweep = setInterval(() => server.closeIdleConnections(), 20);
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(cut);
      resolve();
    });
  });
}

import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import {
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
} from 'node:net';

/** Servers of one test file, on loopback and ports of the system's choice. URLs end with `/v1`. */
export interface LocalServers {
  readonly listen: (server: Server | TcpServer) => Promise<string>;
  /** Answers each request without a look at it. */
  readonly serve: (answer: (response: ServerResponse) => void) => Promise<string>;
  /** Where nobody listens. */
  readonly nobody: () => Promise<string>;
  /** With the connections that are open. */
  readonly close: () => void;
}

export function createLocalServers(): LocalServers {
  const servers: (Server | TcpServer)[] = [];
  const listen = async (server: Server | TcpServer): Promise<string> => {
    servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  };
  return {
    listen,
    serve: (answer) => listen(createServer((_, response) => answer(response))),
    async nobody() {
      const server = createTcpServer();
      const url = await listen(server);
      server.close();
      await once(server, 'close');
      return url;
    },
    close() {
      for (const server of servers) {
        if ('closeAllConnections' in server) server.closeAllConnections();
        server.close();
      }
    },
  };
}

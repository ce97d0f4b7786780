import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { AgentInvocation } from '../../../src/ports/agent-runner';

/** What a service was asked, in the order it came. */
export interface ServiceRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** Of a POST. */
  readonly body: AgentInvocation | null;
}

export type Answer = (request: ServiceRequest, response: ServerResponse) => unknown;

export interface AgentService {
  readonly origin: string;
  readonly requests: readonly ServiceRequest[];
  /** Requests whose connection the other side closed before they were answered. */
  readonly abandoned: () => number;
  close(): Promise<void>;
}

/** An agent behind HTTP, on loopback, that answers as told; what `answer` throws is its HTTP 500. */
export async function startAgentService(answer: Answer): Promise<AgentService> {
  const requests: ServiceRequest[] = [];
  let abandoned = 0;
  const server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) abandoned += 1;
    });
    const { method = '', url: path = '', headers } = request;
    void (method === 'POST' ? json(request) : Promise.resolve(null)).then(async (body) => {
      const seen = { method, path, headers, body: body as AgentInvocation | null };
      requests.push(seen);
      try {
        await answer(seen, response);
      } catch (error) {
        send(response, 500, { error: String(error) });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    abandoned: () => abandoned,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

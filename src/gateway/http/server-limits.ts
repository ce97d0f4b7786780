import type { Server, ServerOptions, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { RequestError } from '@hono/node-server';

/** In milliseconds. What a client may take before it is cut off: who sends a byte now and then must not hold a connection for ever. */
export interface ServerTimeouts {
  /** Until the head of a request is whole, and until TLS is agreed on. */
  readonly head: number;
  /** Until its body is. */
  readonly request: number;
  /** Between two requests. Longer than the minute for which load balancers keep connections: who closes first breaks no request. */
  readonly keepAlive: number;
}

export const DEFAULT_TIMEOUTS: ServerTimeouts = {
  head: 10_000,
  request: 120_000,
  keepAlive: 75_000,
};

/** A head that is longer is answered with 431. Node's own limit, said here since session keys have to fit. */
const MAX_HEAD_BYTES = 16 * 1024;

export function serverOptions({ head, request, keepAlive }: ServerTimeouts): ServerOptions {
  return {
    headersTimeout: head,
    requestTimeout: request,
    keepAliveTimeout: keepAlive,
    connectionsCheckingInterval: Math.min(5_000, head),
    maxHeaderSize: MAX_HEAD_BYTES,
    // Two readings of one request are what smuggling is made of.
    insecureHTTPParser: false,
    requireHostHeader: false, // a request without one is refused by answerUnreadable, which says so
  };
}

interface Refusal {
  readonly status: string;
  readonly code: string;
  readonly message: string;
}

const NOT_HTTP: Refusal = {
  status: '400 Bad Request',
  code: 'malformed_request',
  message: 'the request is not valid HTTP/1.1',
};
const BY_CODE: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    code: 'headers_too_large',
    message: `the head of the request is too large: expected at most ${MAX_HEAD_BYTES} bytes`,
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: '413 Payload Too Large',
    code: 'request_too_large',
    message: 'the extensions of a chunk are too large',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    code: 'request_timeout',
    message: 'the request did not come in time',
  },
};

/** What is no request gets an answer in the shape of every other error, and its connection is closed: nobody knows where the next one would begin. */
export function answerMalformed(server: Server): void {
  const answering = new WeakMap<Duplex, ServerResponse>();
  server.on('request', ({ socket }, response) => answering.set(socket, response));
  server.on('checkExpectation', (_, response: ServerResponse) => {
    const body = JSON.stringify(bodyOf(UNEXPECTED));
    const headers = { 'content-type': 'application/json', connection: 'close' };
    response.writeHead(417, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
  });
  server.on('clientError', (error: Error & { readonly code?: string }, socket) => {
    const response = answering.get(socket);
    // An answer that has begun must not have another one in its middle.
    const isInAnswer = response !== undefined && response.headersSent && !response.writableFinished;
    if (!socket.writable || isInAnswer) return void socket.destroy();
    socket.end(toText(BY_CODE[error.code ?? ''] ?? NOT_HTTP), () => socket.destroy());
  });
}

/** The answer to what is HTTP but names nothing: no host or an impossible one, a target that is no path. The app catches all that it throws itself. */
export function answerUnreadable(error: unknown): Response {
  const isClients = error instanceof RequestError;
  return Response.json(bodyOf(isClients ? UNREADABLE : FAILED), { status: isClients ? 400 : 500 });
}

const FAILED: Refusal = {
  status: '500 Internal Server Error',
  code: 'internal_error',
  message: 'the gateway failed to answer',
};

const UNEXPECTED: Refusal = {
  status: '417 Expectation Failed',
  code: 'malformed_request',
  message: 'the header Expect says something that this gateway does not do: expected 100-continue',
};

const UNREADABLE: Refusal = {
  status: '400 Bad Request',
  code: 'malformed_request',
  message: 'the request names no address: expected a Host header and a path',
};

function bodyOf({ code, message }: Refusal): object {
  return { error: { message, type: 'invalid_request_error', param: null, code } };
}

function toText(refusal: Refusal): string {
  const body = JSON.stringify(bodyOf(refusal));
  const head = [
    `HTTP/1.1 ${refusal.status}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

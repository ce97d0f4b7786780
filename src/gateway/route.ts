import { randomUUID } from 'node:crypto';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { describeError } from '../errors';
import type { Admitted, Authenticate, Principal } from './auth';
import type { GatewayCounters } from './counters';
import { toErrorAnswer } from './error-response';

/** `incoming` and `outgoing` are there when a server stands in front, and not when a test calls the app directly. */
export interface GatewayEnv {
  Bindings: Partial<HttpBindings>;
}
export type GatewayContext = Context<GatewayEnv>;

/** A header of the request. Behind a server it is taken from what Node has parsed: a `Headers` over it costs more than most handlers. */
export function headerOf(c: GatewayContext, name: string): string | undefined {
  const incoming = c.env?.incoming;
  if (incoming === undefined) return c.req.header(name);
  const value = incoming.headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

export interface Answer {
  /** @default 200 */
  readonly status?: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface LogEntry {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly requestId: string;
  readonly error: string;
}

export interface RouteDeps {
  readonly authenticate: Authenticate;
  readonly counters: GatewayCounters;
  readonly log: (entry: LogEntry) => void;
}

/** A request that was let in. */
export interface Admission<P> {
  readonly principal: P;
  readonly requestId: string;
}

export type Handler<P> = (c: GatewayContext, admission: Admission<P>) => Promise<Answer>;

/** What every route does around its handler: who may, the request id, and errors in OpenAI's shape. */
export interface Routes {
  /** Only those who are named get in, and nothing of a body is read before. */
  admit(
    admits: readonly [Admitted, ...Admitted[]],
    handle: Handler<Principal>,
  ): (c: GatewayContext) => Promise<Response>;
  open(handle: Handler<null>): (c: GatewayContext) => Promise<Response>;
  /** The answer to something that was thrown outside of a handler. */
  fail(c: GatewayContext, error: unknown): Response;
}

export function createRoutes({ authenticate, counters, log }: RouteDeps): Routes {
  const send = (c: GatewayContext, requestId: string, { status = 200, body, headers }: Answer) => {
    if (status < 400) counters.answered++;
    else if (status < 500) counters.refused++;
    else counters.failed++;
    counters.byStatus[status] = (counters.byStatus[status] ?? 0) + 1;
    const text = JSON.stringify(body);
    const sent = { 'content-type': 'application/json', 'x-request-id': requestId, ...headers };
    const outgoing = c.env?.outgoing;
    if (outgoing === undefined) return c.body(text, status as ContentfulStatusCode, sent);
    // Behind a server the answer goes out by itself: a web Response on the way would cost as much as the rest of a call.
    outgoing.writeHead(status, { ...sent, 'content-length': Buffer.byteLength(text) }).end(text);
    return RESPONSE_ALREADY_SENT;
  };
  const fail = (c: GatewayContext, error: unknown, requestId: string): Response => {
    const answer = toErrorAnswer(error, requestId);
    if (answer.status >= 500) {
      const message = `${c.req.method} ${c.req.path} failed with ${answer.status}`;
      log({ level: 'error', message, requestId, error: describeError(error) });
    }
    return send(c, requestId, answer);
  };
  const guarded =
    <P>(letIn: (c: GatewayContext) => Promise<P>, handle: Handler<P>) =>
    async (c: GatewayContext): Promise<Response> => {
      const requestId = newRequestId();
      try {
        const principal = await letIn(c);
        return send(c, requestId, await handle(c, { principal, requestId }));
      } catch (error) {
        return fail(c, error, requestId);
      }
    };

  return {
    admit: (admits, handle) =>
      guarded((c) => {
        const authorization = headerOf(c, 'authorization');
        return authenticate({ authorization, xApiKey: headerOf(c, 'x-api-key') }, admits);
      }, handle),
    open: (handle) => guarded(async () => null, handle),
    fail: (c, error) => fail(c, error, newRequestId()),
  };
}

function newRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`;
}

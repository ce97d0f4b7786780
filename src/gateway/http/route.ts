import { randomUUID } from 'node:crypto';
import { describeError } from '../../errors';
import type { Admitted, Authenticate, Principal } from '../keys/auth';
import type { GatewayCounters } from '../metrics/counters';
import type { ErrorAnswer } from './error-response';
import { toErrorAnswer } from './error-response';
import type { Answer } from './answer';
import type { GatewayContext } from './gateway-context';
import { headerOf } from './gateway-context';
import { sendAnswer } from './send-answer';
import { sessionTokenIn } from './session-path';

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
  /** Aborts when the client has gone before it had its answer. Made when asked for: it costs a tenth of a call. */
  readonly gone: () => AbortSignal;
}

export type Handler<P> = (c: GatewayContext, admission: Admission<P>) => Promise<Answer>;

/** How a route's clients expect to be told what all routes tell. */
export interface Manners {
  readonly errorBody: (error: ErrorAnswer, requestId: string) => unknown;
  /** The whole answer to an error, where it is not always JSON; `errorBody` is not asked then. */
  readonly errorAnswer?: (c: GatewayContext, error: ErrorAnswer) => Answer;
  /** Where they look for the request's id, beside `x-request-id`. */
  readonly requestIdHeader?: string;
}

/** OpenAI's. */
const USUAL: Manners = { errorBody: ({ body }) => body };

/** What every route does around its handler: who may, the request id, and errors in the shape that its clients read. */
export interface Routes {
  /** Only those who are named get in, and nothing of a body is read before. */
  admit(
    admits: readonly [Admitted, ...Admitted[]],
    handle: Handler<Principal>,
    manners?: Manners,
  ): (c: GatewayContext) => Promise<Response>;
  open(handle: Handler<null>): (c: GatewayContext) => Promise<Response>;
  /** The answer to something that was thrown outside of a handler. */
  fail(c: GatewayContext, error: unknown): Response;
}

export function createRoutes({ authenticate, counters, log }: RouteDeps): Routes {
  const send = (
    c: GatewayContext,
    requestId: string,
    answer: Answer,
    { requestIdHeader }: Manners,
  ): Response => {
    const { status = 200 } = answer;
    if (status < 400) counters.answered++;
    else if (status < 500) counters.refused++;
    else counters.failed++;
    counters.byStatus[status] = (counters.byStatus[status] ?? 0) + 1;
    const headers: Record<string, string> = { 'x-request-id': requestId, ...answer.headers };
    if (requestIdHeader !== undefined) headers[requestIdHeader] = requestId;
    return sendAnswer(c, headers, answer, (error) => {
      const message = `${c.req.method} ${c.req.path} broke off`;
      log({ level: 'error', message, requestId, error: describeError(error) });
    });
  };
  const fail = (
    c: GatewayContext,
    error: unknown,
    requestId: string,
    manners: Manners = USUAL,
  ): Response => {
    const answer = toErrorAnswer(error, requestId);
    if (answer.status >= 500) {
      const message = `${c.req.method} ${c.req.path} failed with ${answer.status}`;
      log({ level: 'error', message, requestId, error: describeError(error) });
    }
    const told = manners.errorAnswer?.(c, answer) ?? {
      ...answer,
      body: manners.errorBody(answer, requestId),
    };
    return send(c, requestId, told, manners);
  };
  const guarded =
    <P>(letIn: (c: GatewayContext) => Promise<P>, handle: Handler<P>, manners: Manners = USUAL) =>
    async (c: GatewayContext): Promise<Response> => {
      const requestId = newRequestId();
      try {
        const principal = await letIn(c);
        const gone = (): AbortSignal => goneSignal(c);
        return send(c, requestId, await handle(c, { principal, requestId, gone }), manners);
      } catch (error) {
        return fail(c, error, requestId, manners);
      }
    };

  return {
    admit: (admits, handle, manners) =>
      guarded(
        (c) => {
          const token = sessionTokenIn(c);
          if (token !== undefined) return authenticate({ sessionToken: token }, admits);
          const authorization = headerOf(c, 'authorization');
          return authenticate({ authorization, xApiKey: headerOf(c, 'x-api-key') }, admits);
        },
        handle,
        manners,
      ),
    open: (handle) => guarded(async () => null, handle),
    fail: (c, error) => fail(c, error, newRequestId()),
  };
}

/** Aborts when the connection closes before the answer is out. */
function goneSignal(c: GatewayContext): AbortSignal {
  const outgoing = c.env?.outgoing;
  if (outgoing === undefined) return c.req.raw.signal;
  const controller = new AbortController();
  const onClose = (): void => {
    if (!outgoing.writableFinished) controller.abort(new Error('the client has gone'));
  };
  // No event tells of a client that went before anybody asked: its call would go on, and to break it off look like the upstream's fault.
  if (outgoing.destroyed) onClose();
  else outgoing.once('close', onClose);
  return controller.signal;
}

function newRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`;
}

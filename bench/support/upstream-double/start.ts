import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { chat } from './chat';
import { deliver } from './deliver';
import { embeddings } from './embeddings';
import { createMessages } from './messages';
import { modelList, modelOf } from './models';
import type { DoubleProtocol } from './protocol';
import { readJson } from './read-json';
import { check, Refusal, refusalBody, type Provider } from './refusal';
import { createResponses } from './responses';
import { refuseIfTold, Trouble, troubleOf } from './trouble';

export interface DoubleOptions {
  /** What it takes for a key, as a provider's. @default double-key */
  readonly apiKey?: string;
  /** @default 0: any free port */
  readonly port?: number;
  /** What a 429 says. @default 1 */
  readonly retryAfterSeconds?: number;
  /** Between two pieces where it is slow. @default 20 */
  readonly pauseMs?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** What was answered; 0 for a trouble that answers nothing. */
  status: number;
}

export interface UpstreamDouble {
  /** Ends with `/v1`. */
  readonly url: string;
  /** Model calls, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** The next calls meet this, whatever model they ask for. */
  misbehave(trouble: Trouble, times?: number): void;
  forget(): void;
  close(): Promise<void>;
}

const Control = z.strictObject({ trouble: Trouble, times: z.int().positive().default(1) });
const MAX_SEEN = 10_000;

/**
 * A provider of models that is none: it listens on loopback, speaks OpenAI's and Anthropic's protocols, and refuses whatever they would
 * refuse. See README.md beside this file.
 */
export async function startUpstreamDouble({
  apiKey = 'double-key',
  port = 0,
  retryAfterSeconds = 1,
  pauseMs = 20,
}: DoubleOptions = {}): Promise<UpstreamDouble> {
  const routes: Readonly<Record<string, DoubleProtocol>> = {
    '/v1/chat/completions': chat,
    '/v1/responses': createResponses(),
    '/v1/messages': createMessages(),
    '/v1/embeddings': embeddings,
  };
  const seen: SeenRequest[] = [];
  const ordered: Trouble[] = [];
  let serial = 0;

  const control = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === '/control/requests' && request.method === 'GET')
      return json(response, seen);
    if (request.url === '/control/requests' && request.method === 'DELETE') seen.length = 0;
    else if (request.url === '/control/trouble' && request.method === 'POST') {
      const { trouble, times } = check(Control, (await readJson(request)).json);
      for (let i = 0; i < times; i++) ordered.push(trouble);
    } else throw new Refusal(404, 'unknown control route');
    json(response, {});
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '/', 'http://double');
    const header = (name: string): string | undefined =>
      request.headers[name] as string | undefined;
    authorize(header, apiKey);
    if (pathname.startsWith('/v1/models') && request.method === 'GET') {
      const provider = providerOf(request);
      const id = decodeURIComponent(pathname.slice('/v1/models/'.length));
      return json(response, id === '' ? modelList(provider) : modelOf(provider, id));
    }
    const protocol = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
    if (protocol === undefined) throw new Refusal(404, `unknown path: ${pathname}`);
    if (request.method !== 'POST') throw new Refusal(405, 'expected POST');
    const { text, json: body } = await readJson(request);
    const { headers } = request;
    const entry = { method: 'POST', path: request.url ?? '', headers, body: text, status: 0 };
    if (seen.push(entry) > MAX_SEEN) seen.shift();
    // Not `finish`: the client may have read the answer, and asked for this, before that.
    response.once('prefinish', () => (entry.status = response.statusCode));
    const asked = (body as { model?: unknown } | null)?.model;
    const trouble = ordered.shift() ?? troubleOf(typeof asked === 'string' ? asked : '');
    refuseIfTold(trouble, retryAfterSeconds);
    const createdAt = Math.floor(Date.now() / 1_000);
    const promised = protocol.answer(body, { serial: ++serial, createdAt, header });
    if (troubleOf(promised.model) === null) modelOf(providerOf(request), promised.model);
    const accepts = /\bgzip\b/.test(header('accept-encoding') ?? '');
    await deliver(response, promised, { trouble, pauseMs }, accepts);
  };

  const server = createServer((request, response) => {
    const provider = providerOf(request);
    const requestId = `req_double${String(serial + 1).padStart(8, '0')}`;
    response.setHeader(provider === 'openai' ? 'x-request-id' : 'request-id', requestId);
    const handle = request.url?.startsWith('/control/') ? control : answer;
    handle(request, response).catch((error: unknown) => {
      const refusal = error instanceof Refusal ? error : new Refusal(500, String(error));
      request.resume(); // of a body that nobody read
      response.writeHead(refusal.status, {
        'content-type': 'application/json',
        ...refusal.headers,
      });
      response.end(JSON.stringify(refusalBody(provider, refusal, requestId)));
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests: seen,
    misbehave: (trouble, times = 1) => {
      for (let i = 0; i < times; i++) ordered.push(trouble);
    },
    forget: () => void (seen.length = 0),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function providerOf({ url = '', headers }: IncomingMessage): Provider {
  const isAnthropic = /^\/v1\/messages\b/.test(url) || headers['anthropic-version'] !== undefined;
  return isAnthropic ? 'anthropic' : 'openai';
}

function authorize(header: (name: string) => string | undefined, apiKey: string): void {
  const given = /^Bearer (.+)$/.exec(header('authorization') ?? '')?.[1] ?? header('x-api-key');
  if (given === apiKey) return;
  throw new Refusal(401, 'incorrect API key', { code: 'invalid_api_key' });
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

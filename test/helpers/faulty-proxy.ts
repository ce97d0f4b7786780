import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with one request. */
export type Fault =
  /** The server carries it out and answers; the client's connection is cut instead of passing the answer on. */
  | { readonly kind: 'answer-lost' }
  /** Half of the request's body reaches the server, then both connections are cut. */
  | { readonly kind: 'request-cut' }
  /** So many bytes of the answer's body reach the client, then its connection is cut. */
  | { readonly kind: 'answer-cut'; readonly afterBytes: number }
  /** It never reaches the server; the client gets this answer. */
  | {
      readonly kind: 'refused';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** The server carries it out; the client gets this answer nevertheless, as from a gateway that lost patience. */
  | { readonly kind: 'disowned'; readonly status: number }
  /** The server gets it so much later. */
  | { readonly kind: 'delayed'; readonly ms: number }
  /** So many bytes of the answer's body reach the client, then nothing more does. */
  | { readonly kind: 'stalled'; readonly afterBytes: number };

export interface FaultRule {
  readonly fault: Fault;
  readonly method?: string;
  readonly when?: (url: string) => boolean;
  /** @default 1 */
  readonly times?: number;
  /** Requests that match but pass before the first fault. @default 0 */
  readonly after?: number;
}

export interface FaultyProxy {
  readonly endpoint: string;
  /** Each request takes the fault of the first rule that matches and is not used up. */
  inject(rule: FaultRule): void;
  /** How many faults were injected since the last call. */
  takeCount(): number;
  /** All requests since the start, as `METHOD /path?query`. */
  readonly requests: readonly string[];
  /** Waits for what `delayed` still holds back. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

interface LiveRule extends FaultRule {
  left: number;
  toPass: number;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** An HTTP proxy in front of a real server that does to single requests what networks and gateways do. */
export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target);
  const rules: LiveRule[] = [];
  const requests: string[] = [];
  const late = new Set<Promise<unknown>>();
  let count = 0;

  const pick = (method: string, url: string): Fault | undefined => {
    for (const rule of rules) {
      if (rule.left === 0 || (rule.method ?? method) !== method) continue;
      if (rule.when?.(url) === false) continue;
      if (rule.toPass > 0) {
        rule.toPass -= 1;
        return undefined;
      }
      rule.left -= 1;
      count += 1;
      return rule.fault;
    }
    return undefined;
  };

  /** `body` may be cut short of what the headers announce; then the connection ends with it. */
  const forward = (from: IncomingMessage, body: Buffer, isWhole = true): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { method, url, headers } = from;
      const out = httpRequest({ hostname, port, method, path: url, headers, agent: false });
      out.once('error', reject).once('response', (answer) => {
        readAll(answer).then(
          (bytes) =>
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: bytes }),
          reject,
        );
      });
      if (isWhole) out.end(body);
      else out.write(body, () => out.destroy());
    });

  const handle = async (from: IncomingMessage, to: ServerResponse): Promise<void> => {
    const { method = '', url = '' } = from;
    requests.push(`${method} ${url}`);
    const body = await readAll(from);
    const fault = pick(method, url);
    const cut = (): void => void from.socket.destroy();
    const pass = ({ status, headers, body: bytes }: Answer): void =>
      void to.writeHead(status, headers).end(bytes);
    switch (fault?.kind) {
      case undefined:
        return pass(await forward(from, body));
      case 'answer-lost':
        await forward(from, body);
        return cut();
      case 'request-cut':
        await forward(from, body.subarray(0, body.length / 2), false).catch(() => undefined);
        return cut();
      case 'refused':
        return void to.writeHead(fault.status, fault.headers).end(fault.body);
      case 'disowned':
        await forward(from, body);
        return void to.writeHead(fault.status).end();
      case 'delayed': {
        const answer = new Promise((resolve) => setTimeout(resolve, fault.ms)).then(() =>
          forward(from, body),
        );
        late.add(answer);
        return pass(await answer.finally(() => late.delete(answer)));
      }
      case 'answer-cut':
      case 'stalled': {
        const { status, headers, body: bytes } = await forward(from, body);
        to.writeHead(status, headers);
        to.write(bytes.subarray(0, fault.afterBytes), () => {
          if (fault.kind === 'answer-cut') cut();
        });
      }
    }
  };

  const server = createServer((from, to) => {
    handle(from, to).catch(() => from.socket.destroy()); // the client or the server went away
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    inject: (rule) => void rules.push({ ...rule, left: rule.times ?? 1, toPass: rule.after ?? 0 }),
    takeCount() {
      const taken = count;
      count = 0;
      return taken;
    },
    requests,
    async settled() {
      await Promise.allSettled(late);
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readAll(from: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of from) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

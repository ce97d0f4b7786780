import type {
  Upstream,
  UpstreamRequest,
  UpstreamTransport,
} from '../../src/gateway/upstreams/upstream';
import type { Clock, Upstreams } from '../../src/gateway/upstreams/upstreams';
import { createUpstreams, REAL_CLOCK } from '../../src/gateway/upstreams/upstreams';
import { GatewayConfig } from '../../src/schemas/gateway-config';

export interface FakeAnswer {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What comes, piece by piece; what it throws breaks the answer off. */
  readonly chunks: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;
}

export interface FakeUpstreams extends Upstreams {
  /** What was sent, oldest first. */
  readonly requests: readonly (UpstreamRequest & { readonly upstream: Upstream })[];
  /** Answers the next request that has no answer yet. An error is thrown instead of an answer. */
  answer(answer: FakeAnswer | Error): void;
  /** Answers every request to that upstream for which nothing else is scripted. */
  always(upstream: string, answer: () => FakeAnswer | Error): void;
  /** The same with a JSON body. */
  answerJson(body: unknown, rest?: Omit<FakeAnswer, 'chunks'>): void;
  /** The same with events, one per chunk. */
  answerEvents(events: readonly string[]): void;
}

/**
 * Upstreams without a network: each request takes the next scripted answer. Nothing is tried again unless the configuration says so.
 *
 * @param keys by upstream.
 */
export function createFakeUpstreams(
  config: { readonly retries?: object; readonly [part: string]: unknown },
  keys: Readonly<Record<string, string>> = {},
  clock: Clock = REAL_CLOCK,
): FakeUpstreams {
  const requests: (UpstreamRequest & { upstream: Upstream })[] = [];
  const answers: (FakeAnswer | Error)[] = [];
  const standing = new Map<string, () => FakeAnswer | Error>();
  const parsed = GatewayConfig.parse({ ...config, retries: { attempts: 1, ...config.retries } });
  const transport: UpstreamTransport = {
    async send(upstream, request) {
      requests.push({ ...request, upstream });
      const next = answers.shift() ?? standing.get(upstream.name)?.();
      if (next === undefined) throw new Error('no answer was scripted');
      if (next instanceof Error) throw next;
      return { status: 200, headers: {}, ...next, body: bytes(next.chunks) };
    },
    async close() {},
  };
  return {
    ...createUpstreams(parsed, new Map(Object.entries(keys)), transport, clock),
    requests,
    always: (upstream, answer) => void standing.set(upstream, answer),
    answer: (answer) => void answers.push(answer),
    answerJson: (body, rest = {}) =>
      void answers.push({
        headers: { 'content-type': 'application/json' },
        ...rest,
        chunks: [typeof body === 'string' ? body : JSON.stringify(body)],
      }),
    answerEvents: (events) =>
      void answers.push({ headers: { 'content-type': 'text/event-stream' }, chunks: events }),
  };
}

async function* bytes(chunks: FakeAnswer['chunks']): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
}

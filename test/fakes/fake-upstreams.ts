import { createModelTable } from '../../src/gateway/upstreams/model-table';
import type { Upstream, UpstreamRequest } from '../../src/gateway/upstreams/upstream';
import type { Upstreams } from '../../src/gateway/upstreams/upstreams';
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
  /** The same with a JSON body. */
  answerJson(body: unknown, rest?: Omit<FakeAnswer, 'chunks'>): void;
  /** The same with events, one per chunk. */
  answerEvents(events: readonly string[]): void;
}

/** Upstreams without a network: each request takes the next scripted answer. */
export function createFakeUpstreams(
  config: object,
  keys: Readonly<Record<string, string>> = {},
): FakeUpstreams {
  const requests: (UpstreamRequest & { upstream: Upstream })[] = [];
  const answers: (FakeAnswer | Error)[] = [];
  return {
    requests,
    models: createModelTable(GatewayConfig.parse(config), new Map(Object.entries(keys))),
    transport: {
      async send(upstream, request) {
        requests.push({ ...request, upstream });
        const next = answers.shift();
        if (next === undefined) throw new Error('no answer was scripted');
        if (next instanceof Error) throw next;
        return { status: 200, headers: {}, ...next, body: bytes(next.chunks) };
      },
      async close() {},
    },
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

import { Agent, errors, request as send } from 'undici';
import type {
  Upstream,
  UpstreamFault,
  UpstreamResponse,
  UpstreamTransport,
} from '../../gateway/upstreams/upstream';
import { UpstreamError } from '../../gateway/upstreams/upstream';
import { UNREACHABLE } from '../unreachable';

/** Upstreams over HTTP, with connections that are kept alive and, per upstream, its own time-outs. */
export function createHttpUpstreams(): UpstreamTransport {
  const agents = new Map<string, Agent>();

  const agentOf = ({ name, timeouts }: Upstream): Agent => {
    let agent = agents.get(name);
    if (agent === undefined) {
      agent = new Agent({
        // As many as calls are under way: a model's answer takes seconds, and none may queue behind another.
        connections: null,
        pipelining: 1,
        connect: { timeout: timeouts.connect },
        headersTimeout: timeouts.firstByte,
        bodyTimeout: timeouts.idle,
      });
      agents.set(name, agent);
    }
    return agent;
  };

  return {
    async send(upstream, { path, headers, body, signal }) {
      try {
        const response = await send(upstream.url + path, {
          method: 'POST',
          body,
          signal,
          dispatcher: agentOf(upstream),
          headers: {
            'content-type': 'application/json',
            'accept-encoding': 'identity',
            ...headers,
          },
        });
        return {
          status: response.statusCode,
          headers: response.headers,
          body: readable(upstream, response.body),
        } satisfies UpstreamResponse;
      } catch (error) {
        throw upstreamError(upstream, faultOf(error), error);
      }
    },
    async close() {
      await Promise.all(Array.from(agents.values(), (agent) => agent.destroy()));
    },
  };
}

async function* readable(
  upstream: Upstream,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    const fault = faultOf(error);
    // It was reached, whatever the socket says now.
    throw upstreamError(upstream, fault === 'unreachable' ? 'cut' : fault, error);
  }
}

type HttpFault = Exclude<UpstreamFault, 'unavailable'>;

const WORDS: Readonly<Record<HttpFault, string>> = {
  unreachable: 'the upstream cannot be reached',
  slow: 'the upstream did not answer in time',
  cut: 'the upstream broke off its answer',
  garbage: 'the upstream answered something that is not HTTP',
};

function upstreamError(upstream: Upstream, fault: HttpFault, cause: unknown): UpstreamError {
  return new UpstreamError(fault, WORDS[fault], { upstream: upstream.name, cause });
}

function faultOf(error: unknown): HttpFault {
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) {
    return 'slow';
  }
  if (error instanceof errors.HTTPParserError) return 'garbage';
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' && UNREACHABLE.has(code) ? 'unreachable' : 'cut';
}

import { TransientError } from '../../errors';
import type { ProtocolName } from '../../schemas/gateway-config';

/** A server that answers for models whose weights are not ours, with its secrets read. */
export interface Upstream {
  readonly name: string;
  readonly url: string;
  readonly protocols: readonly ProtocolName[];
  readonly key: string | null;
  readonly tokenIds: boolean;
  readonly timeouts: UpstreamTimeouts;
}

/** In milliseconds. */
export interface UpstreamTimeouts {
  readonly connect: number;
  readonly firstByte: number;
  readonly idle: number;
}

export interface UpstreamRequest {
  /** Begins with a slash, and comes from no request: what an agent says can only ever reach the servers of the configuration. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Throws {UpstreamError} if it ends before it should. Must be read to its end or returned. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Sends requests to upstreams. src/adapters/upstream-http/ has the one that uses HTTP. */
export interface UpstreamTransport {
  /** Resolves when the answer has begun. Redirects are not followed. @throws {UpstreamError} */
  send(upstream: Upstream, request: UpstreamRequest): Promise<UpstreamResponse>;
  close(): Promise<void>;
}

/**
 * - `unreachable`: no connection came to be, so the request was not seen;
 * - `slow`: a time-out of the configuration passed; `cut`: the connection ended before the answer did;
 * - `garbage`: what came is not of the protocol;
 * - `unavailable`: it was not asked, because it failed too often before (circuit-breaker.ts).
 */
export type UpstreamFault = 'unreachable' | 'slow' | 'cut' | 'garbage' | 'unavailable';

interface UpstreamErrorOptions {
  readonly upstream?: string;
  readonly cause?: unknown;
  readonly retryAfterMs?: number;
}

/** An upstream that did not answer. One that answered with an error status did answer: that is handed on. */
export class UpstreamError extends TransientError {
  constructor(
    readonly fault: UpstreamFault,
    message: string,
    { upstream, cause, retryAfterMs }: UpstreamErrorOptions = {},
  ) {
    super(message, {
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(upstream === undefined ? {} : { context: { upstream } }),
      ...(cause === undefined ? {} : { cause }),
    });
  }
}

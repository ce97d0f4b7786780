import type { ErrorCode } from '../../errors';
import { RatchetError, TransientError } from '../../errors';
import type { ErrorType } from './request-error';
import { RequestError } from './request-error';
import type { UpstreamFault } from '../upstreams/upstream';
import { UpstreamError } from '../upstreams/upstream';

/** What a client gets for something that was thrown, in OpenAI's shape. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly error: {
      readonly message: string;
      readonly type: ErrorType;
      readonly param: string | null;
      readonly code: string | null;
    };
  };
}

interface Mapping {
  readonly status: number;
  readonly type: ErrorType;
  readonly code: string;
  /** Whether the message is the client's business. What went wrong inside is logged and found by its request id. */
  readonly shown: boolean;
}

// OpenAI's clients retry 408, 409, 429 and 5xx by themselves, so a status also says whether to try again. A conflict is the exception
// that cannot be told apart: trying it again is harmless.
const BY_CODE: Readonly<Record<ErrorCode, Mapping>> = {
  InvalidInput: {
    status: 400,
    type: 'invalid_request_error',
    code: 'invalid_request',
    shown: true,
  },
  NotFound: { status: 404, type: 'invalid_request_error', code: 'not_found', shown: true },
  Conflict: { status: 409, type: 'invalid_request_error', code: 'conflict', shown: true },
  Transient: { status: 503, type: 'server_error', code: 'unavailable', shown: true },
  Integrity: { status: 500, type: 'server_error', code: 'internal_error', shown: false },
  Shape: { status: 500, type: 'server_error', code: 'internal_error', shown: false },
  UnsupportedOp: { status: 500, type: 'server_error', code: 'internal_error', shown: false },
  Numerical: { status: 500, type: 'server_error', code: 'internal_error', shown: false },
};
/** An upstream that is at fault, as a gateway says it (RFC 9110 §15.6.3). */
const BY_FAULT: Readonly<Record<UpstreamFault, Mapping>> = {
  unreachable: upstreamMapping(502, 'upstream_unreachable'),
  slow: upstreamMapping(504, 'upstream_timeout'),
  cut: upstreamMapping(502, 'upstream_broke_off'),
  garbage: upstreamMapping(502, 'upstream_garbage'),
  unavailable: upstreamMapping(503, 'upstream_unavailable'),
};

function upstreamMapping(status: number, code: string): Mapping {
  return { status, type: 'server_error', code, shown: true };
}

const UNKNOWN: Mapping = {
  status: 500,
  type: 'server_error',
  code: 'internal_error',
  shown: false,
};

/** The one place where something thrown becomes an HTTP answer. */
export function toErrorAnswer(error: unknown, requestId: string): ErrorAnswer {
  if (error instanceof RequestError) {
    const headers = retryHeaders(error);
    if (error.status === 401) headers['www-authenticate'] = 'Bearer';
    // What is left of a refused body is not worth reading; the connection cannot be used again before it was.
    if (error.status === 413) headers['connection'] = 'close';
    const { status, type, param, reason } = error;
    return {
      status,
      headers,
      body: { error: { message: error.message, type, param, code: reason } },
    };
  }
  const { status, type, code, shown } = mappingOf(error);
  const message =
    shown && error instanceof Error
      ? error.message
      : `the gateway failed to answer; its log says why under request id ${requestId}`;
  return {
    status,
    headers: retryHeaders(error),
    body: { error: { message, type, param: null, code } },
  };
}

function mappingOf(error: unknown): Mapping {
  if (error instanceof UpstreamError) return BY_FAULT[error.fault];
  return error instanceof RatchetError ? BY_CODE[error.code] : UNKNOWN;
}

function retryHeaders(error: unknown): Record<string, string> {
  const mayWait = error instanceof TransientError || error instanceof RequestError;
  if (!mayWait || error.retryAfterMs === undefined) return {};
  return {
    'retry-after': String(Math.ceil(error.retryAfterMs / 1_000)),
    'retry-after-ms': String(Math.ceil(error.retryAfterMs)),
  };
}

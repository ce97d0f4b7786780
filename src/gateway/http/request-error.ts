import { InvalidInputError } from '../../errors';

/** Nobody reads it, but it is counted: the client went before it had its answer. nginx's number for that. */
export const CLIENT_GONE = 499;

/** `error.type` of OpenAI's error object. */
export type ErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'permission_error'
  | 'rate_limit_error'
  | 'server_error';

export interface RequestErrorOptions {
  readonly status: 400 | 401 | 403 | 404 | 409 | 410 | 413 | 415 | 429 | 503 | typeof CLIENT_GONE;
  readonly type?: ErrorType;
  /** `error.code`: a word that programs may compare. */
  readonly reason: string;
  /** `error.param`: the path of the field that is wrong. */
  readonly param?: string;
  /** After how many milliseconds the same request may be let through. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** A request that is refused, with what the client is told. The message is shown as it is: it never holds a key. */
export class RequestError extends InvalidInputError {
  readonly status: RequestErrorOptions['status'];
  readonly type: ErrorType;
  readonly reason: string;
  readonly param: string | null;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: RequestErrorOptions) {
    super(message, { cause: options.cause });
    this.status = options.status;
    this.type = options.type ?? 'invalid_request_error';
    this.reason = options.reason;
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export function badRequest(message: string, reason: string, param?: string): RequestError {
  return new RequestError(message, {
    status: 400,
    reason,
    ...(param === undefined ? {} : { param }),
  });
}

export function unauthorized(message: string, reason = 'invalid_api_key'): RequestError {
  return new RequestError(message, { status: 401, type: 'authentication_error', reason });
}

export function clientGone(): RequestError {
  return new RequestError('the client went before it had its answer', {
    status: CLIENT_GONE,
    reason: 'client_gone',
  });
}

export function forbidden(message: string, reason = 'insufficient_role'): RequestError {
  return new RequestError(message, { status: 403, type: 'permission_error', reason });
}

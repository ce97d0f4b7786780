import type { ErrorAnswer } from '../../http/error-response';

/** Source: https://platform.claude.com/docs/en/api/errors */
const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

/** An error in Anthropic's shape. What programs may compare is `error.details.error_code`. */
export function anthropicError(
  { status, body: { error } }: ErrorAnswer,
  requestId: string,
): object {
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  const { message, code, param } = error;
  const details = { error_code: code, ...(param === null ? {} : { param }) };
  return { type: 'error', error: { type, message, details }, request_id: requestId };
}

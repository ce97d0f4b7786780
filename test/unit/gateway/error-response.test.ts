import {
  ConflictError,
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  NumericalError,
  ShapeError,
  TransientError,
  UnsupportedOpError,
} from '../../../src/errors';
import { toErrorAnswer } from '../../../src/gateway/http/error-response';
import {
  badRequest,
  forbidden,
  RequestError,
  unauthorized,
} from '../../../src/gateway/http/request-error';
import { isPaused } from '../../../src/gateway/pauses';
import { anthropicError } from '../../../src/gateway/protocols/messages/anthropic-error';
import { UpstreamError } from '../../../src/gateway/upstreams/upstream';

describe('what is thrown becomes', () => {
  test.each([
    [badRequest('x', 'why', 'field'), 400, 'invalid_request_error', 'why', 'x'],
    [unauthorized('x'), 401, 'authentication_error', 'invalid_api_key', 'x'],
    [forbidden('x'), 403, 'permission_error', 'insufficient_role', 'x'],
    [new InvalidInputError('x'), 400, 'invalid_request_error', 'invalid_request', 'x'],
    [new NotFoundError('x'), 404, 'invalid_request_error', 'not_found', 'x'],
    [new ConflictError('x'), 409, 'invalid_request_error', 'conflict', 'x'],
    [new TransientError('x'), 503, 'server_error', 'unavailable', 'x'],
    [new IntegrityError('x'), 500, 'server_error', 'internal_error', null],
    [new ShapeError('x'), 500, 'server_error', 'internal_error', null],
    [new UnsupportedOpError('x'), 500, 'server_error', 'internal_error', null],
    [new NumericalError('x'), 500, 'server_error', 'internal_error', null],
    [new RangeError('x'), 500, 'server_error', 'internal_error', null],
    ['x', 500, 'server_error', 'internal_error', null],
  ])('%p: %i %s %s', (thrown, status, type, code, shown) => {
    const answer = toErrorAnswer(thrown, 'req_1');
    expect(answer.status).toBe(status);
    expect(answer.body.error).toMatchObject({ type, code });
    const expected =
      shown ?? 'the gateway failed to answer; its log says why under request id req_1';
    expect(answer.body.error.message).toBe(expected);
  });
});

const limited = new RequestError('x', {
  status: 429,
  type: 'rate_limit_error',
  reason: 'budget_exceeded',
});
const paused = isPaused({
  formatVersion: 1,
  kind: 'model',
  name: 'm',
  reason: '',
  at: '2026-11-23T12:00:00.000Z',
});

describe('what a client may try again later says so, as its protocol does', () => {
  test.each([
    [limited, 429, 'rate_limit_error', 'rate_limit_error', 'budget_exceeded'],
    [paused, 503, 'server_error', 'overloaded_error', 'model_paused'],
    [
      new UpstreamError('unavailable', 'x'),
      503,
      'server_error',
      'overloaded_error',
      'upstream_unavailable',
    ],
    [new UpstreamError('slow', 'x'), 504, 'server_error', 'timeout_error', 'upstream_timeout'],
    [new UpstreamError('cut', 'x'), 502, 'server_error', 'api_error', 'upstream_broke_off'],
  ])('%p: %i %s, %s', (thrown, status, openAiType, anthropicType, code) => {
    const answer = toErrorAnswer(thrown, 'req_1');
    expect(answer.status).toBe(status);
    expect(answer.body.error).toMatchObject({ type: openAiType, code });
    expect(anthropicError(answer, 'req_1')).toMatchObject({
      type: 'error',
      error: { type: anthropicType, details: { error_code: code } },
      request_id: 'req_1',
    });
  });
});

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
import { badRequest, forbidden, unauthorized } from '../../../src/gateway/http/request-error';

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

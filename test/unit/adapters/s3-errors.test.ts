import {
  classify,
  FAILURES,
  isLostCondition,
  retryAfterOf,
  toStoreError,
} from '../../../src/adapters/s3-store/s3-errors';
import { waitMs } from '../../../src/adapters/s3-store/retrying';
import {
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  TransientError,
} from '../../../src/errors';

type ErrorType = typeof NotFoundError | typeof InvalidInputError | typeof TransientError | typeof IntegrityError; // prettier-ignore
type Again = 'again' | 'once';
type Sure = 'not done' | 'may be done';

const answered = (name: string, status: number): object =>
  Object.assign(new Error('as answered'), { name, $metadata: { httpStatusCode: status } });
/** HEAD and gateways answer without a body, so that only the status is left. */
const bare = (status: number): object => answered('UnknownError', status);
const socket = (code: string): object => Object.assign(new Error('of the network'), { code });

const ABSENT = [NotFoundError, 'once', 'not done'] as const;
const SETUP = [InvalidInputError, 'once', 'not done'] as const;
const REFUSED = [TransientError, 'again', 'not done'] as const;
const UNKNOWN = [TransientError, 'again', 'may be done'] as const;
const DAMAGED = [IntegrityError, 'again', 'not done'] as const;

/** Every row of the table in s3-errors.ts, with an error as it comes from the SDK or from Node. */
const ROWS: readonly [string, object, readonly [ErrorType, Again, Sure]][] = [
  ['NoSuchKey', answered('NoSuchKey', 404), ABSENT],
  ['NotFound', answered('NotFound', 404), ABSENT],
  ['NoSuchBucket', answered('NoSuchBucket', 404), SETUP],
  ['InvalidBucketName', answered('InvalidBucketName', 400), SETUP],
  ['CredentialsProviderError', Object.assign(new Error(), { name: 'CredentialsProviderError' }), SETUP], // prettier-ignore
  ['InvalidAccessKeyId', answered('InvalidAccessKeyId', 403), SETUP],
  ['SignatureDoesNotMatch', answered('SignatureDoesNotMatch', 403), SETUP],
  ['InvalidToken', answered('InvalidToken', 400), SETUP],
  ['HTTP 401', bare(401), SETUP],
  ['AccessDenied', answered('AccessDenied', 403), SETUP],
  ['AllAccessDisabled', answered('AllAccessDisabled', 403), SETUP],
  ['HTTP 403', bare(403), SETUP],
  ['PermanentRedirect', answered('PermanentRedirect', 301), SETUP],
  ['AuthorizationHeaderMalformed', answered('AuthorizationHeaderMalformed', 400), SETUP],
  ['HTTP 301', bare(301), SETUP],
  ['NotImplemented', answered('NotImplemented', 501), SETUP],
  ['HTTP 501', bare(501), SETUP],
  ['XMinioParentIsObject', answered('XMinioParentIsObject', 400), SETUP],
  ['XMinioObjectExistsAsDirectory', answered('XMinioObjectExistsAsDirectory', 409), SETUP],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', socket('DEPTH_ZERO_SELF_SIGNED_CERT'), SETUP],
  ['SELF_SIGNED_CERT_IN_CHAIN', socket('SELF_SIGNED_CERT_IN_CHAIN'), SETUP],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', socket('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), SETUP],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', socket('UNABLE_TO_GET_ISSUER_CERT_LOCALLY'), SETUP],
  ['CERT_HAS_EXPIRED', socket('CERT_HAS_EXPIRED'), SETUP],
  ['ERR_TLS_CERT_ALTNAME_INVALID', socket('ERR_TLS_CERT_ALTNAME_INVALID'), SETUP],
  ['EPROTO', socket('EPROTO'), SETUP],
  ['HTTP 4xx', answered('EntityTooLarge', 400), SETUP],
  ['RequestTimeTooSkewed', answered('RequestTimeTooSkewed', 403), REFUSED],
  ['ExpiredToken', answered('ExpiredToken', 400), REFUSED],
  ['ExpiredTokenException', answered('ExpiredTokenException', 400), REFUSED],
  ['ConditionalRequestConflict', answered('ConditionalRequestConflict', 409), REFUSED],
  ['OperationAborted', answered('OperationAborted', 409), REFUSED],
  ['HTTP 409', bare(409), REFUSED],
  ['NoSuchUpload', answered('NoSuchUpload', 404), [TransientError, 'once', 'not done']],
  ['SlowDown', answered('SlowDown', 503), REFUSED],
  ['SlowDownRead', answered('SlowDownRead', 503), REFUSED],
  ['SlowDownWrite', answered('SlowDownWrite', 503), REFUSED],
  ['ThrottlingException', answered('ThrottlingException', 400), REFUSED],
  ['RequestLimitExceeded', answered('RequestLimitExceeded', 503), REFUSED],
  ['HTTP 429', bare(429), REFUSED],
  ['XMinioServerNotInitialized', answered('XMinioServerNotInitialized', 503), REFUSED],
  ['XMinioStorageFull', answered('XMinioStorageFull', 507), REFUSED],
  ['QuotaExceeded', answered('QuotaExceeded', 403), REFUSED],
  ['HTTP 507', bare(507), REFUSED],
  ['BadDigest', answered('BadDigest', 400), DAMAGED],
  ['XAmzContentChecksumMismatch', answered('XAmzContentChecksumMismatch', 400), DAMAGED],
  ['XAmzContentSHA256Mismatch', answered('XAmzContentSHA256Mismatch', 400), DAMAGED],
  ['ECONNREFUSED', socket('ECONNREFUSED'), REFUSED],
  ['ENOTFOUND', socket('ENOTFOUND'), REFUSED],
  ['EAI_AGAIN', socket('EAI_AGAIN'), REFUSED],
  ['EHOSTUNREACH', socket('EHOSTUNREACH'), REFUSED],
  ['ENETUNREACH', socket('ENETUNREACH'), REFUSED],
  ['ENETDOWN', socket('ENETDOWN'), REFUSED],
  ['EMFILE', socket('EMFILE'), REFUSED],
  ['ECONNRESET', socket('ECONNRESET'), UNKNOWN],
  ['ECONNABORTED', socket('ECONNABORTED'), UNKNOWN],
  ['EPIPE', socket('EPIPE'), UNKNOWN],
  ['ERR_STREAM_PREMATURE_CLOSE', socket('ERR_STREAM_PREMATURE_CLOSE'), UNKNOWN],
  ['IncompleteBody', answered('IncompleteBody', 400), UNKNOWN],
  ['TimeoutError', Object.assign(new Error(), { name: 'TimeoutError' }), UNKNOWN],
  ['ETIMEDOUT', socket('ETIMEDOUT'), UNKNOWN],
  ['ESOCKETTIMEDOUT', socket('ESOCKETTIMEDOUT'), UNKNOWN],
  ['RequestTimeout', answered('RequestTimeout', 400), UNKNOWN],
  ['HTTP 408', bare(408), UNKNOWN],
  ['ServiceUnavailable', answered('ServiceUnavailable', 503), UNKNOWN],
  ['HTTP 503', bare(503), UNKNOWN],
  ['InternalError', answered('InternalError', 500), UNKNOWN],
  ['HTTP 5xx', bare(502), UNKNOWN],
  ['an answer that cannot be read', answered('SyntaxError', 200), UNKNOWN],
];

const toError = (error: unknown): unknown =>
  toStoreError(error, { doing: 'write an object', bucket: 'b', key: 'v1/a', endpoint: 'http://s' });

describe('a failure of S3 or of the network', () => {
  test('has one row in the table, and each row is tried here', () => {
    expect(ROWS.map(([name]) => name)).toEqual(Object.keys(FAILURES));
  });

  test.each(ROWS)('%s', (name, error, [type, again, sure]) => {
    const failure = classify(error);
    expect(failure).toBe(FAILURES[name]);
    expect([failure?.isRetried, failure?.mayHaveCommitted]).toEqual([
      again === 'again',
      sure === 'may be done',
    ]);
    const mapped = toError(error) as Error;
    expect(mapped).toBeInstanceOf(type);
    expect(mapped.message).toContain(`could not write an object: ${failure?.says}`);
    expect(mapped.message).toContain('bucket=b, key=v1/a');
    expect(mapped.cause).toBe(error);
  });

  test('is told from a bug, which stays what it is', () => {
    const bug = new TypeError('undefined is not a function');
    expect([classify(bug), toError(bug)]).toEqual([undefined, bug]);
  });

  test('that is bytes which are no HTTP is an answer that cannot be read', () => {
    expect(classify(socket('HPE_INVALID_CONSTANT'))).toBe(
      FAILURES['an answer that cannot be read'],
    );
  });

  test('for want of a bucket says how to make it', () => {
    expect(String(toError(answered('NoSuchBucket', 404)))).toContain(
      'there is no such bucket; make it: aws s3 mb s3://b --endpoint-url http://s',
    );
  });
});

test.each([
  ['a 412', answered('PreconditionFailed', 412), true],
  ['a 412 without a body', bare(412), true],
  ['an absent key', answered('NoSuchKey', 404), true],
  ['an absent bucket', answered('NoSuchBucket', 404), false],
  ['an absent upload', answered('NoSuchUpload', 404), false],
  ['a 409', bare(409), false],
])('%s is a lost condition: %s', (_, error, isLost) => {
  expect(isLostCondition(error)).toBe(isLost);
});

describe('how long to wait', () => {
  const withHeader = (value: string): object => ({
    ...answered('SlowDown', 503),
    $response: { headers: { 'retry-after': value } },
  });

  test.each([
    ['2', 2_000],
    ['', undefined],
    ['soon', undefined],
    ['Wed, 01 Jan 2020 00:00:00 GMT', 0],
  ])('Retry-After: %j is %j ms', (value, ms) => {
    expect(retryAfterOf(withHeader(value))).toBe(ms);
  });

  test('doubles, is longer for a busy server, has an end, and is what the server asks for', () => {
    const waits = (name: string, failures: number): number =>
      waitMs(failures, FAILURES[name]!, answered(name, 500));
    expect(waits('InternalError', 1)).toBeLessThanOrEqual(50);
    expect(waits('InternalError', 4)).toBeGreaterThanOrEqual(200);
    expect(waits('SlowDown', 1)).toBeGreaterThanOrEqual(250);
    expect(waits('SlowDown', 20)).toBeLessThanOrEqual(5_000);
    expect(waitMs(1, FAILURES['SlowDown']!, withHeader('3'))).toBe(3_000);
  });
});

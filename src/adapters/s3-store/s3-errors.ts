import {
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  type RatchetError,
  TransientError,
} from '../../errors';

/** What one kind of failure means here. */
export interface FailureClass {
  readonly error: 'absent' | 'setup' | 'transient' | 'integrity';
  /** Whether the same request, sent again, may well succeed. */
  readonly isRetried: boolean;
  /** Whether a write that failed so may have been carried out all the same, now or a moment later. */
  readonly mayHaveCommitted: boolean;
  /** Whether to wait longer than usual: the server has too much to do. */
  readonly isThrottling?: true;
  readonly says: string;
}

const ABSENT: FailureClass = {
  error: 'absent',
  isRetried: false,
  mayHaveCommitted: false,
  says: 'there is no such object',
};
const setup = (says: string): FailureClass => ({
  error: 'setup',
  isRetried: false,
  mayHaveCommitted: false,
  says,
});
/** The server answered, and did nothing. */
const refusedForNow = (says: string): FailureClass => ({
  error: 'transient',
  isRetried: true,
  mayHaveCommitted: false,
  says,
});
const THROTTLED: FailureClass = {
  ...refusedForNow('the server asks for fewer requests'),
  isThrottling: true,
};
/** No answer, or one that a proxy may have made up. */
const outcomeUnknown = (says: string): FailureClass => ({
  error: 'transient',
  isRetried: true,
  mayHaveCommitted: true,
  says,
});
const DAMAGED: FailureClass = {
  error: 'integrity',
  isRetried: true,
  mayHaveCommitted: false,
  says: 'the server got other bytes than were sent: something on the way alters them',
};

const UNREACHED = refusedForNow('the server could not be reached');
const CUT = outcomeUnknown('the connection was cut');
const LATE = outcomeUnknown('no answer came in time');
const BROKEN = outcomeUnknown('the server failed');
const CREDENTIALS = setup('the server does not accept the credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the profile'); // prettier-ignore
const FORBIDDEN = setup('the credentials may not do this: allow s3:GetObject, PutObject, DeleteObject, AbortMultipartUpload and ListBucket'); // prettier-ignore
const ELSEWHERE = setup('the bucket is in another region: set AWS_REGION to it');
const REFUSED = setup('the server refuses the request');
const CERTIFICATE = setup('the server’s certificate is not trusted: correct it, or set NODE_EXTRA_CA_CERTS to its authority'); // prettier-ignore

/**
 * Every failure that is known, by the first of these that is in the table: the code of S3's answer or the name of the SDK's error, the
 * code of the socket, `HTTP <status>`. Lost conditions (412, and 404 to an `If-Match`) are outcomes and never get here.
 */
export const FAILURES: Readonly<Record<string, FailureClass>> = {
  NoSuchKey: ABSENT,
  NotFound: ABSENT,

  NoSuchBucket: setup('there is no such bucket'),
  InvalidBucketName: setup('the bucket’s name is none'),
  CredentialsProviderError: setup('there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role'), // prettier-ignore
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: CREDENTIALS,
  'HTTP 401': CREDENTIALS,
  AccessDenied: FORBIDDEN,
  AllAccessDisabled: FORBIDDEN,
  'HTTP 403': FORBIDDEN,
  PermanentRedirect: ELSEWHERE,
  AuthorizationHeaderMalformed: ELSEWHERE,
  'HTTP 301': ELSEWHERE,
  NotImplemented: setup('the server does not know a header or an operation that is needed'),
  'HTTP 501': setup('the server does not know a header or an operation that is needed'),
  XMinioParentIsObject: setup('no key may be another key’s folder'),
  XMinioObjectExistsAsDirectory: setup('no key may be another key’s folder'),
  DEPTH_ZERO_SELF_SIGNED_CERT: CERTIFICATE,
  SELF_SIGNED_CERT_IN_CHAIN: CERTIFICATE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: CERTIFICATE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: CERTIFICATE,
  CERT_HAS_EXPIRED: CERTIFICATE,
  ERR_TLS_CERT_ALTNAME_INVALID: CERTIFICATE,
  EPROTO: setup('the server does not speak TLS on this port: is the endpoint an http:// one?'),
  'HTTP 4xx': REFUSED,

  // The SDK takes the server's clock from the answer, so that a second attempt is signed with it.
  RequestTimeTooSkewed: refusedForNow('the clock of this machine or of the server is wrong by more than 15 minutes: set it'), // prettier-ignore
  ExpiredToken: refusedForNow('the credentials have expired and are not renewed yet'),
  ExpiredTokenException: refusedForNow('the credentials have expired and are not renewed yet'),
  ConditionalRequestConflict: refusedForNow('another conditional write was under way'),
  OperationAborted: refusedForNow('another operation on the same object was under way'),
  'HTTP 409': refusedForNow('another operation on the same object was under way'),
  NoSuchUpload: {
    ...refusedForNow('the upload was removed while it ran: is there a lifecycle rule that takes uploads so young?'),
    isRetried: false,
  }, // prettier-ignore
  SlowDown: THROTTLED,
  SlowDownRead: THROTTLED,
  SlowDownWrite: THROTTLED,
  ThrottlingException: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  'HTTP 429': THROTTLED,
  XMinioServerNotInitialized: refusedForNow('the server is still starting'),
  XMinioStorageFull: refusedForNow('the server’s disk is full'),
  QuotaExceeded: refusedForNow('the bucket’s quota is used up'),
  'HTTP 507': refusedForNow('the server’s disk is full'),

  BadDigest: DAMAGED,
  XAmzContentChecksumMismatch: DAMAGED,
  XAmzContentSHA256Mismatch: DAMAGED,

  ECONNREFUSED: UNREACHED,
  ENOTFOUND: UNREACHED,
  EAI_AGAIN: UNREACHED,
  EHOSTUNREACH: UNREACHED,
  ENETUNREACH: UNREACHED,
  ENETDOWN: UNREACHED,
  EMFILE: refusedForNow('this process has too many files and connections open'),
  ECONNRESET: CUT,
  ECONNABORTED: CUT,
  EPIPE: CUT,
  ERR_STREAM_PREMATURE_CLOSE: CUT,
  IncompleteBody: CUT,
  TimeoutError: LATE,
  ETIMEDOUT: LATE,
  ESOCKETTIMEDOUT: LATE,
  RequestTimeout: LATE,
  'HTTP 408': LATE,
  ServiceUnavailable: { ...BROKEN, isThrottling: true },
  'HTTP 503': { ...BROKEN, isThrottling: true },
  InternalError: BROKEN,
  'HTTP 5xx': BROKEN,
  'an answer that cannot be read': outcomeUnknown('the answer was not one of S3: what is there?'),
};

/** Undefined for what is no failure of S3 or of the network: a bug, which stays what it is. */
export function classify(error: unknown): FailureClass | undefined {
  const { name, code, status } = factsOf(error);
  for (const key of [name, code, `HTTP ${status}`, `HTTP ${Math.floor((status ?? 0) / 100)}xx`]) {
    const found = key === undefined || !Object.hasOwn(FAILURES, key) ? undefined : FAILURES[key];
    if (found !== undefined) return found;
  }
  // A status without an error of S3, or bytes that are no HTTP.
  return status !== undefined || code?.startsWith('HPE_') === true
    ? FAILURES['an answer that cannot be read']
    : undefined;
}

/** 412; and to an `If-Match`, that the key is absent. Another reason for a 404, such as an absent bucket, has its own code. */
export function isLostCondition(error: unknown): boolean {
  const { name, status } = factsOf(error);
  return status === 412 || name === 'NoSuchKey' || name === 'NotFound';
}

export function hasName(error: unknown, name: string): boolean {
  return factsOf(error).name === name;
}

export interface FailureContext {
  readonly doing: string;
  readonly bucket: string;
  readonly key?: string | undefined;
  readonly endpoint?: string | undefined;
}

/** A failure as one of the error classes; what is none of S3's is returned as it is. */
export function toStoreError(error: unknown, { doing, ...where }: FailureContext): unknown {
  const failure = classify(error);
  if (failure === undefined) return error;
  const { name, code, status } = factsOf(error);
  const retryAfterMs = retryAfterOf(error);
  const says = name === 'NoSuchBucket' ? `${failure.says}; make it: ${makeBucket(where)}` : failure.says; // prettier-ignore
  const quoted = error instanceof Error && error.message !== '' && error.message !== name ? ` (${error.message})` : ''; // prettier-ignore
  const message = `the S3 store could not ${doing}: ${says}${quoted}`;
  const options = {
    context: { ...where, code: code ?? name, status, requestId: requestIdOf(error) },
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  return new CLASSES[failure.error](message, options);
}

const CLASSES: Readonly<
  Record<
    FailureClass['error'],
    new (message: string, options: ConstructorParameters<typeof TransientError>[1]) => RatchetError
  >
> = {
  absent: NotFoundError,
  setup: InvalidInputError,
  transient: TransientError,
  integrity: IntegrityError,
};

function makeBucket({ bucket, endpoint }: Omit<FailureContext, 'doing'>): string {
  return `aws s3 mb s3://${bucket}${endpoint === undefined ? '' : ` --endpoint-url ${endpoint}`}`;
}

interface Facts {
  readonly name: string | undefined;
  readonly code: string | undefined;
  readonly status: number | undefined;
}

/** By shape: the SDK's errors are of many classes, and Node's may come from another realm. */
function factsOf(error: unknown): Facts {
  const { name, code, $metadata } = fieldsOf(error);
  const status = fieldsOf($metadata)['httpStatusCode'];
  return {
    name: typeof name === 'string' ? name : undefined,
    code: typeof code === 'string' ? code : undefined,
    status: typeof status === 'number' ? status : undefined,
  };
}

function requestIdOf(error: unknown): string | undefined {
  const id = fieldsOf(fieldsOf(error)['$metadata'])['requestId'];
  return typeof id === 'string' ? id : undefined;
}

/** `Retry-After` in seconds, or as a date. */
export function retryAfterOf(error: unknown): number | undefined {
  const headers = fieldsOf(fieldsOf(fieldsOf(error)['$response'])['headers']);
  const header = headers['retry-after'];
  if (typeof header !== 'string' || header === '') return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

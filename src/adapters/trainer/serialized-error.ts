import {
  ConflictError,
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  NumericalError,
  RatchetError,
  ShapeError,
  TransientError,
  UnsupportedOpError,
  type ErrorCode,
  type ErrorContext,
} from '../../errors';

/** An error as it crosses between threads: structured cloning keeps neither class nor own properties. */
export interface SerializedError {
  /** null: none of the taxonomy. */
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly stack: string | undefined;
  readonly context: ErrorContext;
  readonly retryAfterMs: number | undefined;
  readonly cause: SerializedError | null;
}

const CLASSES = {
  InvalidInput: InvalidInputError,
  Shape: ShapeError,
  UnsupportedOp: UnsupportedOpError,
  NotFound: NotFoundError,
  Integrity: IntegrityError,
  Conflict: ConflictError,
  Transient: TransientError,
  Numerical: NumericalError,
} as const satisfies Record<ErrorCode, unknown>;

export function toSerializedError(error: unknown): SerializedError {
  const known = error instanceof RatchetError ? error : null;
  return {
    code: known?.code ?? null,
    message: error instanceof Error ? error.message : String(error),
    stack: error instanceof Error ? error.stack : undefined,
    context: known?.context ?? {},
    retryAfterMs: error instanceof TransientError ? error.retryAfterMs : undefined,
    cause:
      error instanceof Error && error.cause !== undefined ? toSerializedError(error.cause) : null,
  };
}

/** The same class, message, context and stack; the message already holds the context, so it is not written twice. */
export function fromSerializedError(serialized: SerializedError): Error {
  const { code, message, stack, context, retryAfterMs, cause } = serialized;
  const options = cause === null ? {} : { cause: fromSerializedError(cause) };
  const error = code === null ? new Error(message, options) : new CLASSES[code](message, options);
  if (code !== null) Object.assign(error, { context });
  if (error instanceof TransientError) Object.assign(error, { retryAfterMs });
  if (stack !== undefined) error.stack = stack;
  return error;
}

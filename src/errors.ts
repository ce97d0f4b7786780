/**
 * The error taxonomy. Every failure of Ratchet is one of these classes; the class, not a message, decides what happens next.
 *
 * | class (`code`)        | thrown when                                              | a Temporal activity then             |
 * |-----------------------|----------------------------------------------------------|--------------------------------------|
 * | `InvalidInputError`   | configuration, schema or request is wrong                | fails for good                       |
 * | `ShapeError`          | tensor shapes or dtypes do not fit                       | fails for good                       |
 * | `UnsupportedOpError`  | an operator has no rule                                  | fails for good                       |
 * | `NotFoundError`       | a committed key is absent                                | fails for good                       |
 * | `IntegrityError`      | hash, length or format version differs from the manifest | fails for good; quarantine           |
 * | `ConflictError`       | a compare-and-swap that must win was lost                | fails for good; the workflow rereads |
 * | `TransientError`      | network, HTTP 408/409/429/5xx                            | is retried, after `retryAfterMs`     |
 * | `NumericalError`      | NaN or Inf in a loss, gradient or parameter              | fails for good; last checkpoint      |
 *
 * A message reads: what failed `[key=…, rolloutId=…]: expected …, got …`, and what to do where there is something to do.
 */
export type ErrorCode =
  | 'InvalidInput'
  | 'Shape'
  | 'UnsupportedOp'
  | 'NotFound'
  | 'Integrity'
  | 'Conflict'
  | 'Transient'
  | 'Numerical';

export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RatchetErrorOptions {
  readonly context?: ErrorContext;
  readonly cause?: unknown;
}

/** Appends `[a=1, b=2]` to what failed, leaving out what is undefined. */
function withContext(message: string, context: ErrorContext | undefined): string {
  const parts = Object.entries(context ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${String(value)}`);
  return parts.length === 0 ? message : `${message} [${parts.join(', ')}]`;
}

export abstract class RatchetError extends Error {
  abstract readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(message: string, { context, cause }: RatchetErrorOptions = {}) {
    super(withContext(message, context), cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.context = context ?? {};
  }
}

export class InvalidInputError extends RatchetError {
  readonly code = 'InvalidInput';
}
export class ShapeError extends RatchetError {
  readonly code = 'Shape';
}
export class UnsupportedOpError extends RatchetError {
  readonly code = 'UnsupportedOp';
}
export class NotFoundError extends RatchetError {
  readonly code = 'NotFound';
}

/** Which stored object is damaged: enough to look at it again and to put it aside (src/storage/quarantine.ts). */
export interface Damage {
  readonly key: string;
  /** What had to be there, in words. */
  readonly expected: string;
  /** The hash that its bytes must have; null where nothing names one and only their form shows the damage. */
  readonly sha256: string | null;
  /** The hash of the bytes that were read. */
  readonly gotSha256: string;
}

export class IntegrityError extends RatchetError {
  readonly code = 'Integrity';
  /** Only where it is certain that bytes were changed or cut: not for an object that is missing, or of a newer format. */
  readonly damage: Damage | undefined;

  constructor(
    message: string,
    options: RatchetErrorOptions & { readonly damage?: Damage | undefined } = {},
  ) {
    super(message, options);
    this.damage = options.damage;
  }
}

export class ConflictError extends RatchetError {
  readonly code = 'Conflict';
}
export class NumericalError extends RatchetError {
  readonly code = 'Numerical';
}

export class TransientError extends RatchetError {
  readonly code = 'Transient';
  /** How long the other side asked us to wait, in milliseconds; undefined when it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: RatchetErrorOptions & { readonly retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The message of anything that was thrown, with the messages of its causes behind it. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined
    ? error.message
    : `${error.message}: caused by ${describeError(error.cause)}`;
}

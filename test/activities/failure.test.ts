import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { toFailure, withFailureMap } from '../../activities/failure';
import {
  ConflictError,
  IntegrityError,
  InvalidInputError,
  NotFoundError,
  NumericalError,
  ShapeError,
  TransientError,
  UnsupportedOpError,
} from '../../src/errors';

const context = { key: 'v1/blobs/x' };
const failureOf = (error: unknown): ApplicationFailure => {
  const failure = toFailure(error);
  if (!(failure instanceof ApplicationFailure)) throw new Error('expected an ApplicationFailure');
  return failure;
};

describe('the failure of an activity', () => {
  it.each([
    { Class: InvalidInputError, type: 'InvalidInput', nonRetryable: true },
    { Class: ShapeError, type: 'Shape', nonRetryable: true },
    { Class: UnsupportedOpError, type: 'UnsupportedOp', nonRetryable: true },
    { Class: NotFoundError, type: 'NotFound', nonRetryable: true },
    { Class: IntegrityError, type: 'Integrity', nonRetryable: true },
    { Class: ConflictError, type: 'Conflict', nonRetryable: true },
    { Class: NumericalError, type: 'Numerical', nonRetryable: true },
    { Class: TransientError, type: 'Transient', nonRetryable: false },
  ])('$type: nonRetryable $nonRetryable', ({ Class, type, nonRetryable }) => {
    const error = new Class('it failed', { context });
    const failure = failureOf(error);
    expect(failure).toMatchObject({ type, nonRetryable, details: [context], cause: error });
    expect(failure.message).toBe('it failed [key=v1/blobs/x]');
    expect(failure.nextRetryDelay).toBeUndefined();
  });

  it('waits as long as the other side asked', () => {
    const failure = failureOf(new TransientError('too many requests', { retryAfterMs: 2500 }));
    expect(failure.nextRetryDelay).toBe(2500);
  });

  it('is retried at once where the other side asked for no wait at all', () => {
    expect(failureOf(new TransientError('busy', { retryAfterMs: 0 })).nextRetryDelay).toBe(0);
  });

  it('says what its causes said', () => {
    const cause = new Error('ECONNREFUSED');
    expect(failureOf(new TransientError('no store', { cause })).message).toBe(
      'no store: caused by ECONNREFUSED',
    );
  });

  it('is retryable and called Unexpected when the error is none of ours', () => {
    const error = new TypeError('x is not a function');
    expect(failureOf(error)).toMatchObject({
      type: 'Unexpected',
      nonRetryable: false,
      message: 'x is not a function',
      cause: error,
    });
  });

  it('takes anything that was thrown', () => {
    expect(failureOf('just a string')).toMatchObject({
      type: 'Unexpected',
      message: 'just a string',
      nonRetryable: false,
    });
  });

  it('leaves a cancellation untouched', () => {
    const cancelled = new CancelledFailure('CANCELLED');
    expect(toFailure(cancelled)).toBe(cancelled);
  });

  it('leaves what is already a failure of Temporal untouched', () => {
    const failure = ApplicationFailure.create({ message: 'ready made', nonRetryable: true });
    expect(toFailure(failure)).toBe(failure);
  });
});

describe('activities with the failure map', () => {
  const activities = withFailureMap({
    double: async ({ n }: { n: number }) => 2 * n,
    refuse: async (_input: unknown): Promise<never> => {
      throw new InvalidInputError('no');
    },
    throwAtOnce: (_input: unknown): Promise<never> => {
      throw new NotFoundError('gone');
    },
  });

  it('answer as before', async () => {
    await expect(activities.double({ n: 21 })).resolves.toBe(42);
  });

  it('fail as Temporal’s failures', async () => {
    await expect(activities.refuse({})).rejects.toMatchObject({ type: 'InvalidInput' });
    await expect(activities.throwAtOnce({})).rejects.toMatchObject({ type: 'NotFound' });
  });
});

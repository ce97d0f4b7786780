import { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { toFailure, withFailureMap } from '../../activities/failure';
import { startHeartbeat } from '../../activities/heartbeat';
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
import { activityEnvironment } from './desk';

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
    expect(failure.nextRetryDelay).toBe(nonRetryable ? undefined : 500);
  });

  it('waits as long as the other side asked', () => {
    const failure = failureOf(new TransientError('too many requests', { retryAfterMs: 2500 }));
    expect(failure.nextRetryDelay).toBe(2500);
  });

  it('is retried at once where the other side asked for no wait at all', () => {
    expect(failureOf(new TransientError('busy', { retryAfterMs: 0 })).nextRetryDelay).toBe(1);
  });

  it('waits longer and longer, also where the other side asks for no wait', () => {
    const delays = (error: Error): unknown[] =>
      [1, 2, 3, 4, 5, 6].map(
        (failures): unknown => (toFailure(error, failures) as ApplicationFailure).nextRetryDelay,
      );
    expect(delays(new TransientError('busy'))).toEqual([500, 1000, 2000, 4000, 8000, 15_000]);
    expect(delays(new TransientError('busy', { retryAfterMs: 0 }))).toEqual([
      ...[1, 1, 1],
      ...[4000, 8000, 15_000],
    ]);
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
  const inActivity = <R>(run: () => Promise<R>, activityId = '1'): Promise<R> =>
    activityEnvironment({ activityId }).run(run);

  it('answer as before', async () => {
    const { double } = withFailureMap({ double: async ({ n }: { n: number }) => 2 * n });
    await expect(inActivity(() => double({ n: 21 }))).resolves.toBe(42);
  });

  it('fail as Temporal’s failures', async () => {
    const activities = withFailureMap({
      refuse: async (_input: unknown): Promise<never> => {
        throw new InvalidInputError('no');
      },
      throwAtOnce: (_input: unknown): Promise<never> => {
        throw new NotFoundError('gone');
      },
    });
    await expect(inActivity(() => activities.refuse({}))).rejects.toMatchObject({
      type: 'InvalidInput',
    });
    await expect(inActivity(() => activities.throwAtOnce({}))).rejects.toMatchObject({
      type: 'NotFound',
    });
  });

  it.each([
    { Class: TypeError, attempts: 5 },
    { Class: TransientError, attempts: 125 },
  ])('give a $Class.name up after $attempts attempts', async ({ Class, attempts }) => {
    const { fail } = withFailureMap({
      fail: async (_input: unknown): Promise<never> => {
        throw new Class('again');
      },
    });
    const attempt = async (id: string): Promise<boolean> =>
      inActivity(() => fail({}), id).catch(
        (error: ApplicationFailure) => error.nonRetryable === true,
      );
    const isLast: boolean[] = [];
    for (let n = 1; n <= attempts; n += 1) isLast.push(await attempt('7'));
    expect(isLast.indexOf(true)).toBe(attempts - 1);
    expect(await attempt('8')).toBe(false); // each execution has its own
  });

  it('do not count the deaths of workers: the first unexpected error after ten of them is not the last', async () => {
    const { fail } = withFailureMap({
      fail: async (_input: unknown): Promise<never> => {
        throw new TypeError('x');
      },
    });
    const environment = activityEnvironment({ attempt: 11 });
    await expect(environment.run(() => fail({}))).rejects.toMatchObject({ nonRetryable: false });
  });

  it('count anew after a success', async () => {
    let isBroken = true;
    const { flaky } = withFailureMap({
      flaky: async (_input: unknown): Promise<void> => {
        if (isBroken) throw new TypeError('x');
      },
    });
    const attempt = (): Promise<unknown> =>
      inActivity(() => flaky({})).catch((error: ApplicationFailure) => error.nonRetryable);
    for (let n = 1; n <= 4; n += 1) expect(await attempt()).toBe(false);
    isBroken = false;
    await attempt();
    isBroken = true;
    for (let n = 1; n <= 4; n += 1) expect(await attempt()).toBe(false);
  });

  it('end as cancelled, whatever their ending throws', async () => {
    const { work } = withFailureMap({
      work: async (_input: unknown): Promise<never> => {
        await Context.current().cancelled.catch(() => undefined);
        throw new TransientError('the connection was closed');
      },
    });
    const environment = activityEnvironment();
    const result = environment.run(() => work({}));
    environment.cancel('CANCELLED');
    await expect(result).rejects.toBeInstanceOf(CancelledFailure);
  });

  it('beat from their first moment on, with what the last attempt said', async () => {
    jest.useFakeTimers();
    try {
      const environment = activityEnvironment({ heartbeatDetails: { done: 7 } });
      const beats: unknown[] = [];
      environment.on('heartbeat', (details) => beats.push(details));
      const { work } = withFailureMap({
        work: async (_input: unknown): Promise<void> => {
          jest.advanceTimersByTime(2_000); // it reads its input, and the store is away
          const heartbeat = startHeartbeat({ done: 8 });
          jest.advanceTimersByTime(1_000);
          heartbeat.set({ done: 9 });
          heartbeat.stop();
          jest.advanceTimersByTime(1_000); // it writes its result
        },
      });
      await environment.run(() => work({}));
      jest.advanceTimersByTime(60_000);
      expect(beats).toEqual([7, 7, 8, 8, 9, 9].map((done) => ({ done })));
    } finally {
      jest.useRealTimers();
    }
  });
});

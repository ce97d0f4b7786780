import { getEventListeners } from 'node:events';
import { createBackPressure, type Turn } from '../../../src/rollouts/back-pressure';

// On a clock of the test's own: pauses are exact, and cost no time.
beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const never = new AbortController().signal;

/** Turns as they are let in, in order of asking. */
function queueOf(
  pressure: ReturnType<typeof createBackPressure>,
  count: number,
): { readonly started: (Turn | null)[]; readonly waiting: () => number } {
  const started: (Turn | null)[] = [];
  let waiting = 0;
  for (let i = 0; i < count; i += 1) {
    started.push(null);
    void pressure
      .enter(never, (isWaiting) => (waiting += isWaiting ? 1 : -1))
      .then((turn) => (started[i] = turn));
  }
  return { started, waiting: () => waiting };
}
const settle = (): Promise<void> => jest.advanceTimersByTimeAsync(0);
const begun = (started: readonly (Turn | null)[]): number =>
  started.filter((turn) => turn !== null).length;
const everyOne = (started: readonly (Turn | null)[], act: (turn: Turn) => void): void => {
  for (const turn of started) {
    if (turn === null) continue;
    act(turn);
    turn.leave();
  }
};

describe('back-pressure', () => {
  it('lets in as many at once as may be, and the next as one leaves', async () => {
    const { started, waiting } = queueOf(createBackPressure({ most: 3 }), 5);
    await settle();
    expect([begun(started), waiting()]).toEqual([3, 2]);
    started[1]?.leave();
    started[1]?.leave(); // once is enough
    await settle();
    expect([begun(started), waiting()]).toEqual([4, 1]);
    expect(started[4]).toBeNull();
  });

  it('halves what is under way when it is pushed back, once for all that was under way', async () => {
    const pressure = createBackPressure({ most: 100, baseMs: 500 });
    const { started } = queueOf(pressure, 16);
    await settle();
    everyOne(started, (turn) => turn.pushedBack());
    expect(pressure.limit).toBe(8);
    const next = queueOf(pressure, 16);
    await jest.advanceTimersByTimeAsync(499);
    expect(begun(next.started)).toBe(0);
    await jest.advanceTimersByTimeAsync(1);
    expect(begun(next.started)).toBe(8);
  });

  it('pauses twice as long with each push back in a row, never longer than its longest', async () => {
    const pressure = createBackPressure({ most: 1, baseMs: 100, maxMs: 350 });
    const pauses: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      const turn = await pressure.enter(never);
      turn.pushedBack();
      turn.leave();
      const pausedAt = performance.now();
      const { started } = queueOf(pressure, 1);
      while (started[0] === null) await jest.advanceTimersByTimeAsync(1);
      pauses.push(Math.round(performance.now() - pausedAt));
      started[0]?.leave();
    }
    expect(pauses).toEqual([100, 200, 350, 350]);
  });

  it('waits at least as long as it was asked to', async () => {
    const pressure = createBackPressure({ most: 4, baseMs: 100 });
    const { started } = queueOf(pressure, 2);
    await settle();
    started[0]?.pushedBack(2_000);
    started[1]?.pushedBack(5_000); // of the same fall, but it knows better
    everyOne(started, () => undefined);
    const next = queueOf(pressure, 1);
    await jest.advanceTimersByTimeAsync(4_999);
    expect(begun(next.started)).toBe(0);
    await jest.advanceTimersByTimeAsync(1);
    expect(begun(next.started)).toBe(1);
  });

  it('grows by one per round of what is served, back to what it was', async () => {
    const pressure = createBackPressure({ most: 10, baseMs: 1 });
    const { started } = queueOf(pressure, 8);
    await settle();
    everyOne(started, (turn) => turn.pushedBack());
    const limits = [pressure.limit];
    for (let round = 0; round < 9; round += 1) {
      await jest.advanceTimersByTimeAsync(1);
      const { started: served } = queueOf(pressure, pressure.limit);
      await settle();
      everyOne(served, (turn) => turn.served());
      limits.push(pressure.limit);
    }
    expect(limits[0]).toBe(4);
    expect(limits.at(-1)).toBe(10);
    for (let i = 1; i < limits.length; i += 1)
      expect((limits[i] ?? 0) - (limits[i - 1] ?? 0)).toBeLessThanOrEqual(1);
  });

  it('lets go of a signal whose wait is over, and of the queue when it is aborted', async () => {
    const pressure = createBackPressure({ most: 1 });
    const controller = new AbortController();
    const first = await pressure.enter(never);
    const second = pressure.enter(controller.signal);
    const third = queueOf(pressure, 1);
    controller.abort(new Error('stop'));
    await expect(second).rejects.toThrow('stop');
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    first.leave();
    await settle();
    expect(begun(third.started)).toBe(1);
    await expect(pressure.enter(AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
  });

  it('leaves no timer behind when nobody waits any more', async () => {
    const pressure = createBackPressure({ most: 1 });
    const turn = await pressure.enter(never);
    turn.pushedBack(60_000);
    turn.leave();
    expect(jest.getTimerCount()).toBe(0);
    const controller = new AbortController();
    const waiting = pressure.enter(controller.signal);
    expect(jest.getTimerCount()).toBe(1);
    controller.abort(new Error('stop'));
    await expect(waiting).rejects.toThrow('stop');
    expect(jest.getTimerCount()).toBe(0);
  });
});

import { finishIteration, isSelectDue, phaseName, RunState } from '../../../src/loop/run-state';
import { withRefusal } from '../../../src/loop/refusals';
import { digest } from '../../fakes/fake-activities';
import { config, estimate, point, ref, request, runState } from './run-views';

describe('the state after an iteration', () => {
  const replay = ref('replay');

  it('goes on from the new checkpoint, with the new replay buffer', () => {
    const state = finishIteration(runState(), { point: point(1), replay });
    expect(state).toMatchObject({ checkpoint: digest(1), replay, iterations: 1 });
    expect(state.points).toEqual([point(1)]);
  });

  it('does not change the state before', () => {
    const before = runState();
    const copy = structuredClone(before);
    finishIteration(before, { point: point(1), replay });
    expect(before).toEqual(copy);
  });

  const bestAfter = (...selects: (number | null)[]): number | undefined =>
    selects.reduce(
      (state, select, index) =>
        finishIteration(state, {
          point: point(index + 1, { select: select === null ? null : estimate(select) }),
          replay,
        }),
      runState(),
    ).best?.iteration;

  it.each([
    [[0.7], 1],
    [[0.7, 0.8, 0.75], 2],
    [[0.7, 0.8, 0.8], 2], // of equals the earlier one
    [[null, 0.6, null, 0.5], 2], // not measured is no candidate
    [[null, null], undefined],
  ])('knows the best checkpoint: after %j iteration %p', (selects, iteration) => {
    expect(bestAfter(...selects)).toBe(iteration);
  });

  it('thins out its older points, but keeps the newest hundred and the first', () => {
    let state = runState();
    for (let i = 1; i <= 1000; i += 1) state = finishIteration(state, { point: point(i), replay });
    const iterations = state.points.map(({ iteration }) => iteration);
    expect(iterations.length).toBeLessThanOrEqual(200);
    expect(iterations[0]).toBe(1);
    expect(iterations.slice(-100)).toEqual(Array.from({ length: 100 }, (_, i) => 901 + i));
    expect(iterations).toEqual([...iterations].sort((a, b) => a - b));
    expect(state.iterations).toBe(1000);
  });
});

describe('the select split', () => {
  const every = (n: number) => ({ ...config, select: { ...config.select, every: n } });
  it.each([
    [1, [0, 1, 2], [true, true, true]],
    [3, [0, 1, 2, 3, 4, 5], [false, false, true, false, false, true]],
  ])('is measured after every iteration number %i', (n, iterations, due) => {
    expect(iterations.map((iteration) => isSelectDue(iteration, every(n), false))).toEqual(due);
  });

  it('is measured after the last iteration in any case', () => {
    expect(isSelectDue(4, every(10), true)).toBe(true);
  });
});

describe('what a run carries across continue-as-new', () => {
  it('comes through JSON as it was', () => {
    const full = runState({
      baseSelect: estimate(0.6),
      ...{ replay: ref('replay'), iterations: 2, paused: true, stopRequested: true },
      points: [point(1), point(2, { reward: null, select: null, loss: null })],
      best: { checkpoint: digest(1), iteration: 1, select: estimate(0.75) },
      refusals: [{ message: 'approve', reason: 'late', at: '2026-11-24T08:00:00.000Z' }],
    });
    for (const state of [full, runState()]) {
      expect(RunState.parse(JSON.parse(JSON.stringify(state)))).toEqual(state);
    }
  });

  it.each<[string, object]>([
    ['a point without its loss', { points: [{ ...point(1), loss: undefined }] }],
    ['another format', { formatVersion: 2 }],
    ['a field that it does not know', { extra: 1 }],
    ['no tasks of one split', { tasks: { train: 1 } }],
  ])('is refused with %s', (_, wrong) => {
    expect(RunState.safeParse({ ...runState(), ...wrong }).success).toBe(false);
  });
});

describe('the phase’s name', () => {
  it('is what the run waits for, and after it the outcome', () => {
    expect(phaseName({ kind: 'awaiting-approval', request })).toBe('awaiting-approval');
    const outcome = { kind: 'rejected', by: 'ops-lead' } as const;
    expect(phaseName({ kind: 'done', outcome })).toBe('rejected');
  });
});

describe('ignored messages', () => {
  it('are kept, the newest ten, each cut to size', () => {
    const at = '2026-11-24T08:00:00.000Z';
    let refusals = withRefusal([], { message: 'approve', reason: 'x'.repeat(10_000), at });
    expect(refusals[0]?.reason).toHaveLength(500);
    for (let n = 0; n < 50; n += 1)
      refusals = withRefusal(refusals, { message: `message-${n}`, reason: 'late', at });
    expect(refusals.map(({ message }) => message)).toEqual(
      Array.from({ length: 10 }, (_, n) => `message-${40 + n}`),
    );
  });
});

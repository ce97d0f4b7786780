import { randomUUID } from 'node:crypto';
import { WorkflowFailedError } from '@temporalio/client';
import type { RunOutcome, RunStatus } from '../../src/loop/run-state';
import { digest, failure } from '../fakes/fake-activities';
import {
  createWorkflowBench,
  quietRuntime,
  runConfig,
  type WorkflowBench,
} from '../helpers/workflow-bench';

let bench: WorkflowBench;
const policyName = (): string => `p-${randomUUID().slice(0, 8)}`;
const isAt =
  (kind: RunStatus['phase']['kind']) =>
  (status: RunStatus): boolean =>
    status.phase.kind === kind;

beforeAll(quietRuntime);
beforeEach(async () => {
  bench = await createWorkflowBench();
});
afterEach(() => bench.close());

/** Starts a run and waits until it asks. */
async function untilAsked(overrides: Parameters<typeof runConfig>[1] = {}): Promise<{
  handle: Awaited<ReturnType<WorkflowBench['start']>>;
  policy: string;
}> {
  const policy = policyName();
  const handle = await bench.start('trainingRun', runConfig(policy, overrides));
  await bench.statusWhen<RunStatus>(handle, isAt('awaiting-approval'));
  return { handle, policy };
}

const approval = (candidate: string, by = 'ops-lead'): unknown => ({ candidate, by });

test('a run learns, passes the gate, is approved by a signal and promotes what was approved', async () => {
  const { handle, policy } = await untilAsked();
  await handle.signal('approve', approval(digest(0x102)));
  const outcome = (await handle.result()) as RunOutcome;
  expect(outcome).toEqual({
    kind: 'promoted',
    champion: { digest: digest(0x102), generation: 2 },
    promotion: `promotion.${policy}`,
  });
  expect(bench.world.champion).toEqual({ digest: digest(0x102), generation: 2 });
});

test('an approval by update is answered with what was decided', async () => {
  const { handle } = await untilAsked();
  const answer = await handle.executeUpdate<unknown, [unknown]>('review', {
    args: [
      {
        candidate: digest(0x102).slice(7, 19),
        by: 'ops-lead',
        decision: 'reject',
        comment: 'not yet',
      },
    ],
  });
  expect(answer).toEqual({ decision: 'reject', candidate: digest(0x102), by: 'ops-lead' });
  expect(await handle.result()).toEqual({ kind: 'rejected', by: 'ops-lead', comment: 'not yet' });
  expect(bench.world.champion).toEqual({ digest: digest(1), generation: 1 });
});

describe('what is refused, and why', () => {
  test('an update with a wrong digest, by a stranger, or malformed is refused to its sender, and changes nothing', async () => {
    const { handle } = await untilAsked();
    const review = (payload: unknown): Promise<unknown> =>
      handle.executeUpdate<unknown, [unknown]>('review', { args: [payload] });
    const reasonOf = async (payload: unknown): Promise<string> => {
      try {
        await review(payload);
        return 'accepted';
      } catch (error) {
        return String((error as Error).cause);
      }
    };
    expect(
      await reasonOf({ candidate: digest(0xbad), by: 'ops-lead', decision: 'approve' }),
    ).toContain('the candidate is 000000000000');
    expect(
      await reasonOf({ candidate: digest(0x102), by: 'mallory', decision: 'approve' }),
    ).toContain('mallory may not decide; approvers are ops-lead');
    expect(
      await reasonOf({ candidate: digest(0x102), by: 'ops-lead', decision: 'perhaps' }),
    ).toContain('decision');
    expect(await reasonOf('garbage')).toContain('Invalid input');
    expect((await handle.query<RunStatus, []>('status')).phase.kind).toBe('awaiting-approval');
    await handle.terminate();
  });

  test('signals that are garbage, wrong or too early are ignored, and the status says why', async () => {
    let finishTraining: () => void = () => undefined;
    bench.world.trainGate = new Promise((resolve) => (finishTraining = resolve));
    const handle = await bench.start('trainingRun', runConfig(policyName()));
    await handle.signal('approve', approval(digest(0x102)));
    await bench.statusWhen<RunStatus>(handle, ({ refusals }) => refusals.length === 1);
    finishTraining();
    await bench.statusWhen<RunStatus>(handle, isAt('awaiting-approval'));
    await handle.signal('approve', { nonsense: [1, 2, 3] });
    await handle.signal('approve', 'garbage');
    await handle.signal('approve');
    await handle.signal('reject', approval(digest(0x102), 'mallory'));
    await handle.signal('approve', approval(digest(0xbad)));
    const { refusals, phase } = await bench.statusWhen<RunStatus>(
      handle,
      (status) => status.refusals.length === 6,
    );
    expect(phase.kind).toBe('awaiting-approval');
    const reasons = refusals.map(({ reason }) => reason);
    expect(reasons[0]).toContain('nothing awaits approval yet');
    expect(reasons[1]).toContain('candidate');
    expect(reasons[4]).toContain('mallory may not decide');
    expect(reasons[5]).toContain('the candidate is');
    const details = await handle.query<{ currentDetails?: string }, []>(
      '__temporal_workflow_metadata',
    );
    expect(JSON.stringify(details)).toContain('mallory may not decide');
    await handle.signal('approve', approval(digest(0x102)));
    expect(((await handle.result()) as RunOutcome).kind).toBe('promoted');
  });

  test('a second decision is refused as already decided', async () => {
    const { handle } = await untilAsked();
    const ask = (decision: string): Promise<unknown> =>
      handle.executeUpdate<unknown, [unknown]>('review', {
        args: [{ candidate: digest(0x102), by: 'ops-lead', decision }],
      });
    const [first, second] = await Promise.allSettled([ask('approve'), ask('reject')]);
    const refused = [first, second].filter((one) => one.status === 'rejected');
    expect(refused).toHaveLength(1);
    expect(String((refused[0]?.reason as Error).cause)).toContain('already decided');
    expect(((await handle.result()) as RunOutcome).kind).toMatch(/promoted|rejected/);
  });

  test('after the deadline nobody can approve: the run has ended without a promotion', async () => {
    const { handle } = await untilAsked({
      approval: { approvers: ['ops-lead'], deadline: '300ms' },
    });
    expect(((await handle.result()) as RunOutcome).kind).toBe('approval-expired');
    await expect(handle.signal('approve', approval(digest(0x102)))).rejects.toThrow(
      /not found|completed/,
    );
    expect(bench.world.champion?.generation).toBe(1);
  });
});

describe('bad input', () => {
  const reasonOf = async (input: unknown): Promise<string> => {
    const handle = await bench.start('trainingRun', input);
    try {
      await handle.result();
      return 'completed';
    } catch (error) {
      return error instanceof WorkflowFailedError ? String(error.cause?.message) : String(error);
    }
  };

  test('a wrong field fails the workflow at once and names the path', async () => {
    expect(await reasonOf({ ...runConfig(policyName()), iterations: 'many' })).toContain(
      'iterations',
    );
    expect(await reasonOf({ ...runConfig(policyName()), surprise: 1 })).toContain('surprise');
    expect(await reasonOf({ ...runConfig(policyName()), gate: {} })).toContain('gate.target');
    expect(await reasonOf(undefined)).toContain('Invalid input');
    expect(bench.world.calls).toEqual([]);
  });

  test('what the workers refuse as bad input fails the workflow at once, with the reason', async () => {
    bench.world.failures.set('openRun', [
      failure('InvalidInput', 'the policy nope is not registered on the workers'),
    ]);
    expect(await reasonOf(runConfig('nope'))).toContain('the policy nope is not registered');
    expect(bench.world.calls).toEqual(['openRun']);
  });
});

test('a policy without a champion is created from its demonstrations first', async () => {
  bench.world.champion = null;
  const { handle } = await untilAsked();
  expect(bench.world.calls.slice(0, 3)).toEqual(['openRun', 'createPolicy', 'registerChampion']);
  await handle.terminate();
});

test('a candidate that does not pass the gate is never asked about', async () => {
  bench.world.gate = 'fail';
  const handle = await bench.start('trainingRun', runConfig(policyName()));
  expect(await handle.result()).toEqual({
    kind: 'gate-not-passed',
    reasons: ['the fake gate says fail'],
  });
  expect(bench.world.calls).not.toContain('promote');
});

test('an approval whose champion has moved meanwhile is stale: the run evaluates again and asks again', async () => {
  const { handle } = await untilAsked();
  let moved = false;
  bench.world.beforePromote = () => {
    if (!moved) bench.world.champion = { digest: digest(7), generation: 5 };
    moved = true;
  };
  await handle.signal('approve', approval(digest(0x102)));
  const again = await bench.statusWhen<RunStatus>(
    handle,
    ({ phase }) => phase.kind === 'awaiting-approval' && phase.request.champion.generation === 5,
  );
  expect(again.phase).toMatchObject({
    request: { champion: { digest: digest(7), generation: 5 } },
  });
  await handle.signal('approve', approval(digest(0x102)));
  expect(await handle.result()).toMatchObject({ kind: 'promoted', champion: { generation: 6 } });
});

describe('what stops a run without losing it', () => {
  test('a training whose retries are used up waits for `retry`, and then goes on', async () => {
    bench.world.failures.set('train', [failure('Numerical', 'the loss is not finite [step=12]')]);
    const handle = await bench.start('trainingRun', runConfig(policyName()));
    const { phase } = await bench.statusWhen<RunStatus>(handle, isAt('needs-attention'));
    expect(phase).toMatchObject({
      step: 'training of iteration 1 of 2',
      reason: 'the loss is not finite [step=12]',
    });
    await handle.signal('retry');
    await bench.statusWhen<RunStatus>(handle, isAt('awaiting-approval'));
    await handle.terminate();
  });

  test('more than 5 % of drops stop the run before it trains on the survivors', async () => {
    bench.world.drops = { 'upstream-error': 1 };
    const handle = await bench.start('trainingRun', runConfig(policyName()));
    const { phase } = await bench.statusWhen<RunStatus>(handle, isAt('needs-attention'));
    expect(phase).toMatchObject({ reason: expect.stringContaining('upstream-error 2') as string });
    expect(bench.world.calls).not.toContain('train');
    bench.world.drops = {};
    await handle.signal('retry');
    await bench.statusWhen<RunStatus>(handle, isAt('awaiting-approval'));
    await handle.terminate();
  });

  test('pause holds the next iteration until resume; stop evaluates what there is', async () => {
    let finishTraining: () => void = () => undefined;
    bench.world.trainGate = new Promise((resolve) => (finishTraining = resolve));
    const handle = await bench.start('trainingRun', runConfig(policyName(), { iterations: 50 }));
    await bench.statusWhen<RunStatus>(handle, isAt('training'));
    await handle.signal('pause');
    finishTraining();
    await bench.statusWhen<RunStatus>(handle, isAt('paused'));
    await handle.signal('stop');
    const { iterations } = await bench.statusWhen<RunStatus>(handle, isAt('awaiting-approval'));
    expect(iterations).toBe(1);
    await handle.terminate();
  });
});

test('a run that continues as new ends like one that does not, and keeps its curve', async () => {
  const { handle } = await untilAsked({ iterations: 5, iterationsPerHistory: 2 });
  const status = await handle.query<RunStatus, []>('status');
  expect(status.points.map(({ iteration }) => iteration)).toEqual([1, 2, 3, 4, 5]);
  expect(status.best?.checkpoint).toBe(digest(0x105));
  expect((await handle.describe()).runId).not.toBe(
    (handle as { firstExecutionRunId?: string }).firstExecutionRunId,
  );
  await handle.terminate();
});

test('the number of history events per iteration does not depend on the number of rollouts', async () => {
  const events = async (tasksPerIteration: number): Promise<number> => {
    const { handle } = await untilAsked({ tasksPerIteration });
    const { historyLength } = await handle.describe();
    await handle.terminate();
    return historyLength;
  };
  const few = await events(10);
  const many = await events(100_000);
  expect(Math.abs(many - few)).toBeLessThanOrEqual(6); // workflow tasks may be batched differently
});

test('runs are found by phase and policy, and go on where the server lacks the search attributes', async () => {
  const { handle, policy } = await untilAsked();
  let found: string[] = [];
  for (let tries = 0; tries < 100 && found.length === 0; tries += 1) {
    await new Promise((wake) => setTimeout(wake, 100));
    const list = bench.client.workflow.list({
      query: `RatchetPhase="awaiting-approval" AND RatchetPolicy="${policy}"`,
    });
    for await (const one of list) found = [...found, one.workflowId];
  }
  expect(found).toEqual([handle.workflowId]);
  await handle.terminate();

  bench.world.searchAttributes = false;
  const without = await untilAsked();
  await without.handle.terminate();
});

describe('a run that learns from live feedback', () => {
  const live = { agent: 'desk', decisions: 100 };

  test('waits until there is enough, trains on it and goes on where it ended', async () => {
    bench.world.waiting.push(3, 40);
    const { handle } = await untilAsked({ live, reward: { weights: { feedback: 1 } } });
    expect(bench.world.calls.filter((name) => name === 'collectLive')).toHaveLength(4);
    const splits = new Set(bench.world.rollOuts.map(({ selection }) => selection.split));
    expect(splits).toEqual(new Set(['select', 'gate']));
    const [first, , third, last] = bench.world.collected;
    expect(Date.parse(third?.from ?? '')).toBe(Date.parse(first?.from ?? ''));
    expect([third?.iteration, last?.iteration, last?.from]).toEqual([
      0,
      1,
      '2026-11-25T00:00:00.000Z',
    ]);
    const status = await handle.query<RunStatus, []>('status');
    expect(status.points.map(({ rollouts }) => rollouts)).toEqual([100, 100]);
    const { offPolicy } = status.points[1] ?? {};
    expect(offPolicy?.lower).toBeCloseTo(0.09);
    expect(offPolicy?.refusal).toBeNull();
  });

  test('is not even evaluated where held-out decisions say that it earns less', async () => {
    bench.world.offPolicy = -0.1;
    const handle = await bench.start('trainingRun', runConfig(policyName(), { live }));
    expect(await handle.result()).toMatchObject({
      kind: 'gate-not-passed',
      reasons: [expect.stringContaining('Off-policy')],
    });
    expect(bench.world.calls).not.toContain('compare');
  });

  test('asks a person where too much of the feedback teaches nothing', async () => {
    bench.world.drops = { 'no-cost': 50 };
    const handle = await bench.start('trainingRun', runConfig(policyName(), { live }));
    const { phase } = await bench.statusWhen<RunStatus>(handle, isAt('needs-attention'));
    expect(phase).toMatchObject({ step: 'live feedback for iteration 1 of 2' });
    bench.world.drops = {};
    await handle.signal('retry');
    await bench.statusWhen<RunStatus>(handle, isAt('awaiting-approval'));
  });

  test('can be stopped while it waits', async () => {
    bench.world.waiting.push(...Array.from({ length: 1000 }, () => 1));
    const handle = await bench.start('trainingRun', runConfig(policyName(), { live }));
    await bench.statusWhen<RunStatus>(handle, isAt('collecting'));
    await handle.signal('stop');
    expect(await handle.result()).toMatchObject({ kind: 'no-better-checkpoint' });
  });
});

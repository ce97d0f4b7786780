import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { TransientError } from '../../src/errors';
import type { PromotionStatus } from '../../src/loop/promotion-state';
import type { RunOutcome, RunPhase, RunStatus } from '../../src/loop/run-state';
import type { EvaluationStatus } from '../../workflows/messages';
import { digest, failure } from '../fakes/fake-activities';
import {
  createWorkflowBench,
  quietRuntime,
  runConfig,
  type WorkflowBench,
} from '../helpers/workflow-bench';

let bench: WorkflowBench;
beforeAll(quietRuntime);
beforeEach(async () => {
  bench = await createWorkflowBench();
});
afterEach(() => bench.close());

type Overrides = Parameters<typeof runConfig>[1];
const startRun = (overrides: Overrides = {}): Promise<WorkflowHandle> =>
  bench.start(
    'trainingRun',
    runConfig(`p-${randomUUID().slice(0, 8)}`, { iterations: 1, ...overrides }),
  );
const at = (handle: WorkflowHandle, kind: RunPhase['kind']): Promise<RunStatus> =>
  bench.statusWhen<RunStatus>(handle, ({ phase }) => phase.kind === kind);
const childOf = (handle: WorkflowHandle, name: string): WorkflowHandle =>
  bench.client.workflow.getHandle(`${handle.workflowId}.${name}`);
const statusName = async (handle: WorkflowHandle): Promise<string> =>
  (await handle.describe()).status.name;
const until = async (isThere: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await isThere())) await delay(50);
};
const phaseAttribute = async ({ workflowId, runId }: { workflowId: string; runId: string }) =>
  (await bench.client.workflow.getHandle(workflowId, runId).describe()).typedSearchAttributes
    .getAll()
    .find(({ key }) => key.name === 'RatchetPhase')?.value;
const gateWhichOpens = (): { gate: Promise<void>; open: () => void } => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  return { gate, open };
};
/** In the middle of the rollouts of the evaluation that decides. */
const untilGating = async (): Promise<{
  handle: WorkflowHandle;
  child: WorkflowHandle;
  release: () => void;
}> => {
  const { gate, open } = gateWhichOpens();
  let isInside = false;
  bench.world.rollOutGate = ({ selection }) => {
    if (selection.split !== 'gate') return Promise.resolve();
    isInside = true;
    return gate;
  };
  const handle = await startRun();
  await until(() => isInside);
  return { handle, child: childOf(handle, 'gate-1'), release: open };
};
/** A run of the same policy that ends as it should: whatever was done before, the store is as good as new. */
const expectAnotherRunWorks = async (policy: string): Promise<void> => {
  const another = await bench.start('trainingRun', runConfig(policy, { iterations: 1 }));
  await at(another, 'awaiting-approval');
  await another.signal('approve', { candidate: digest(0x101), by: 'ops-lead' });
  expect(((await another.result()) as RunOutcome).kind).toBe('promoted');
};

describe('what a run waits for', () => {
  test('is said with the exact line that continues it, in the status, the details and the phase, and goes by itself', async () => {
    bench.world.failures.set('train', [failure('Numerical', 'the loss is not finite')]);
    const training = gateWhichOpens();
    bench.world.trainGate = training.gate;
    const handle = await startRun();
    const { phase } = await at(handle, 'needs-attention');
    const line = `temporal workflow signal -w ${handle.workflowId} --name retry`;
    expect(phase).toMatchObject({ reason: 'the loss is not finite', line });
    expect(JSON.stringify(await handle.query('__temporal_workflow_metadata'))).toContain(line);
    const { runId } = await handle.describe();
    await until(async () => (await phaseAttribute({ ...handle, runId })) === 'needs-attention');
    await handle.signal('retry');
    await at(handle, 'training'); // and not "needs attention" for as long as the second go takes
    await until(async () => (await phaseAttribute({ ...handle, runId })) === 'training');
    training.open();
    await at(handle, 'awaiting-approval');
    await handle.terminate();
  });

  test('is what its evaluation waits for, too; `retry` to the run reaches the evaluation', async () => {
    bench.world.failures.set('compare', [failure('Integrity', 'a segment is cut off')]);
    const handle = await startRun();
    const { phase } = await at(handle, 'needs-attention');
    const child = childOf(handle, 'gate-1');
    expect(phase).toEqual({
      kind: 'needs-attention',
      step: 'comparing the arms',
      reason: 'a segment is cut off',
      line: `temporal workflow signal -w ${child.workflowId} --name retry`,
    });
    const { attention } = await child.query<EvaluationStatus, []>('status');
    expect(attention).toMatchObject({ reason: 'a segment is cut off' });
    await handle.signal('retry');
    await at(handle, 'awaiting-approval');
    await handle.terminate();
  });

  test('is what its promotion waits for, too', async () => {
    bench.world.failures.set('promote', [failure('Integrity', 'the pointer is cut off')]);
    const handle = await startRun();
    await at(handle, 'awaiting-approval');
    await handle.signal('approve', { candidate: digest(0x101), by: 'ops-lead' });
    const { phase } = await at(handle, 'needs-attention');
    expect(phase).toMatchObject({ step: 'promoting', reason: 'the pointer is cut off' });
    await handle.signal('retry');
    expect(((await handle.result()) as RunOutcome).kind).toBe('promoted');
  });
});

describe('a step that needs attention is given up with `stop`', () => {
  test.each([
    ['openRun', 'opening the run'],
    ['createPolicy', 'creating the policy'],
    ['registerChampion', 'registering the first champion'],
  ])('%s: the run ends and says where', async (activity, step) => {
    bench.world.champion = null;
    bench.world.failures.set(activity, [failure('Integrity', 'a manifest is cut off')]);
    const handle = await startRun();
    await at(handle, 'needs-attention');
    await handle.signal('stop');
    expect(await handle.result()).toEqual({
      ...{ kind: 'stopped', step, reason: 'a manifest is cut off' },
    });
  });

  test('an iteration: what was learned before it is evaluated', async () => {
    const handle = await startRun({ iterations: 3 });
    await bench.statusWhen<RunStatus>(handle, ({ iterations }) => iterations >= 1);
    bench.world.failures.set('train', [failure('Numerical', 'the loss is not finite')]);
    await at(handle, 'needs-attention');
    await handle.signal('stop');
    const { iterations } = await at(handle, 'awaiting-approval');
    expect(iterations).toBeGreaterThanOrEqual(1);
    expect(iterations).toBeLessThan(3);
    await handle.terminate();
  });

  test('an evaluation: it is cancelled and the run ends', async () => {
    bench.world.failures.set('compare', [failure('Integrity', 'a segment is cut off')]);
    const handle = await startRun();
    await at(handle, 'needs-attention');
    await handle.signal('stop');
    expect(await handle.result()).toEqual({
      ...{ kind: 'stopped', step: 'evaluation on gate', reason: 'a segment is cut off' },
    });
    expect(await statusName(childOf(handle, 'gate-1'))).toBe('CANCELLED');
  });

  test('a `stop` from before meant something else: the step that parks later waits', async () => {
    const training = gateWhichOpens();
    bench.world.trainGate = training.gate;
    bench.world.failures.set('compare', [failure('Integrity', 'a segment is cut off')]);
    const handle = await startRun({ iterations: 50 });
    await at(handle, 'training');
    await handle.signal('stop');
    training.open();
    await at(handle, 'needs-attention');
    await handle.signal('retry');
    const { iterations } = await at(handle, 'awaiting-approval');
    expect(iterations).toBe(1);
    await handle.terminate();
  });
});

describe('what others do to its children', () => {
  test.each(['cancel', 'terminate'] as const)(
    'an evaluation that somebody %ss by hand parks the run; `retry` evaluates again',
    async (how) => {
      const { handle, child, release } = await untilGating();
      await child[how]();
      await at(handle, 'needs-attention');
      release();
      await handle.signal('retry');
      await at(handle, 'awaiting-approval');
      expect(await statusName(childOf(handle, 'gate-2'))).toBe('COMPLETED');
      await handle.terminate();
    },
  );

  test('a promotion that somebody terminates parks the run, not for ever: `retry` starts another', async () => {
    bench.world.failures.set('promote', [failure('Integrity', 'the pointer is cut off')]);
    const handle = await startRun();
    const { policy } = await at(handle, 'awaiting-approval');
    await handle.signal('approve', { candidate: digest(0x101), by: 'ops-lead' });
    await at(handle, 'needs-attention');
    await bench.client.workflow.getHandle(`promotion.${policy}`).terminate();
    await bench.statusWhen<RunStatus>(
      handle,
      ({ phase }) => phase.kind === 'needs-attention' && phase.step === 'promotion',
    );
    await handle.signal('retry');
    expect(((await handle.result()) as RunOutcome).kind).toBe('promoted');
  });

  test('a promotion that was cut off between moving the pointer and saying so has promoted', async () => {
    bench.world.beforePromote = () => {
      bench.world.champion = { digest: digest(0x101), generation: 2 }; // as its first, killed go did
      bench.world.beforePromote = () => undefined;
    };
    const handle = await startRun();
    await at(handle, 'awaiting-approval');
    await handle.signal('approve', { candidate: digest(0x101), by: 'ops-lead' });
    expect(await handle.result()).toMatchObject({ kind: 'promoted', champion: { generation: 2 } });
  });
});

test('an evaluation whose id somebody else uses parks the run; `retry` takes the next id', async () => {
  const workflowId = `taken-${randomUUID()}`;
  const { dataset, agent, gate } = runConfig('p');
  const { gate: rolling } = gateWhichOpens();
  bench.world.rollOutGate = () => rolling;
  const other = await bench.start(
    'evaluation',
    { policy: 'other', dataset, agent, gate, candidate: digest(2) },
    `${workflowId}.gate-1`,
  );
  await until(() => bench.world.rollOuts.length > 0);
  bench.world.rollOutGate = () => Promise.resolve();
  const handle = await bench.start(
    'trainingRun',
    runConfig('taken', { iterations: 1 }),
    workflowId,
  );
  const { phase } = await at(handle, 'needs-attention');
  expect(phase).toMatchObject({
    reason: `the workflow ${other.workflowId} is still open, and was not started here`,
  });
  await handle.signal('retry');
  await at(handle, 'awaiting-approval');
  await Promise.all([handle.terminate(), other.terminate()]);
});

test('a store that is away parks nothing, also where it asks to be tried again at once', async () => {
  const away = new TransientError('no store', { retryAfterMs: 0 }); // a delay of 0 is no retry to Temporal
  bench.world.failures.set('openRun', [away, away]);
  const handle = await startRun();
  await bench.statusWhen<RunStatus>(handle, ({ phase }) => {
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    return phase.kind === 'awaiting-approval';
  });
  expect(bench.world.calls.filter((name) => name === 'openRun')).toHaveLength(3);
  await handle.terminate();
});

test('garbage in the internal messages changes nothing', async () => {
  const training = gateWhichOpens();
  bench.world.trainGate = training.gate;
  const handle = await startRun();
  await at(handle, 'training');
  for (const name of [
    'promotionSettled',
    'childAttention',
    'queueUnattended',
    'queueAttended',
    'retry',
  ]) {
    await handle.signal(name);
    await handle.signal(name, { kind: 'garbage', note: 17, queue: 4 });
  }
  training.open();
  await at(handle, 'awaiting-approval');
  await handle.signal('promotionSettled');
  await handle.signal('approve', { candidate: digest(0x101), by: 'ops-lead' });
  expect(((await handle.result()) as RunOutcome).kind).toBe('promoted');
});

describe('pause', () => {
  test('in the last iteration finishes it and holds the evaluation: a paused run holds no activity', async () => {
    const training = gateWhichOpens();
    bench.world.trainGate = training.gate;
    const handle = await startRun();
    await at(handle, 'training');
    await handle.signal('pause');
    training.open();
    const { iterations } = await at(handle, 'paused');
    expect(iterations).toBe(1);
    const { raw } = await handle.describe();
    expect([raw.pendingActivities ?? [], raw.pendingChildren ?? []]).toEqual([[], []]);
    await handle.signal('resume');
    await at(handle, 'awaiting-approval');
    await handle.terminate();
  });
});

describe.each(['cancel', 'terminate'] as const)('%s', (how) => {
  const ended = how === 'cancel' ? 'CANCELLED' : 'TERMINATED';

  test.each(['rollOut', 'train'] as const)(
    'reaches a running %s within seconds; the champion stays, and another run works',
    async (activity) => {
      const { gate } = gateWhichOpens();
      if (activity === 'rollOut') bench.world.rollOutGate = () => gate;
      else bench.world.trainGate = gate;
      const handle = await startRun();
      await until(() => bench.world.calls.includes(activity));
      const { policy } = await handle.query<RunStatus, []>('status');
      await handle[how]();
      const from = performance.now();
      await until(() => bench.world.cancelled.includes(activity));
      expect(performance.now() - from).toBeLessThan(10_000);
      expect(await statusName(handle)).toBe(ended);
      expect(bench.world.champion).toEqual({ digest: digest(1), generation: 1 });
      bench.world.trainGate = Promise.resolve();
      bench.world.rollOutGate = () => Promise.resolve();
      await expectAnotherRunWorks(policy);
    },
  );

  test('while it waits for its evaluation ends the evaluation, too', async () => {
    const { handle, child } = await untilGating();
    await handle[how]();
    await until(async () => (await statusName(child)) === ended);
    await until(async () => (await statusName(handle)) === ended);
  });

  test('ends a run that waits for a person', async () => {
    bench.world.failures.set('train', [failure('Numerical', 'the loss is not finite')]);
    const handle = await startRun();
    await at(handle, 'needs-attention');
    await handle[how]();
    await until(async () => (await statusName(handle)) === ended);
  });

  test('does not take back what was approved: the promotion goes on', async () => {
    bench.world.failures.set('promote', [failure('Integrity', 'the pointer is cut off')]);
    const handle = await startRun();
    const { policy } = await at(handle, 'awaiting-approval');
    await handle.signal('approve', { candidate: digest(0x101), by: 'ops-lead' });
    await at(handle, 'needs-attention');
    await handle[how]();
    await until(async () => (await statusName(handle)) === ended);
    const promotion = bench.client.workflow.getHandle(`promotion.${policy}`);
    await promotion.signal('retry');
    await bench.statusWhen<PromotionStatus>(promotion, ({ phase }) => phase.kind === 'watching');
    expect(bench.world.champion).toEqual({ digest: digest(0x101), generation: 2 });
    await promotion.terminate();
  });
});

test('a run that was stopped by drops rolls the same tasks out again, as another go', async () => {
  bench.world.drops = { 'upstream-error': 1 };
  const handle = await startRun();
  const { phase } = await at(handle, 'needs-attention');
  expect(phase).toMatchObject({ reason: expect.stringContaining('upstream-error 2') as string });
  bench.world.drops = {};
  await handle.signal('retry');
  await at(handle, 'awaiting-approval');
  const own = bench.world.rollOuts
    .filter(({ selection }) => selection.split === 'train')
    .sort((a, b) => (a.go ?? 0) - (b.go ?? 0) || a.shard - b.shard);
  expect(own.map(({ go }) => go)).toEqual([undefined, undefined, 1, 1]);
  const selections = own.map(({ selection }) => selection);
  expect(selections.slice(2)).toEqual(selections.slice(0, 2));
  await handle.terminate();
});

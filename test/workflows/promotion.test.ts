import { randomUUID } from 'node:crypto';
import type { WorkflowHandle } from '@temporalio/client';
import type { PromotionStatus } from '../../src/loop/promotion-state';
import type { RunStatus } from '../../src/loop/run-state';
import { digest } from '../fakes/fake-activities';
import {
  createWorkflowBench,
  quietRuntime,
  runConfig,
  type WorkflowBench,
} from '../helpers/workflow-bench';

let bench: WorkflowBench;
const policyName = (): string => `p-${randomUUID().slice(0, 8)}`;

beforeAll(quietRuntime);
beforeEach(async () => {
  bench = await createWorkflowBench();
});
afterEach(() => bench.close());

function byHand(policy: string): unknown {
  const { dataset, agent, gate, approval, watch } = runConfig(policy);
  return {
    evidence: 'gather',
    policy,
    candidate: digest(0x42),
    dataset,
    agent,
    gate,
    approval,
    watch,
  };
}

async function promotedByRun(policy: string): Promise<WorkflowHandle> {
  const run = await bench.start('trainingRun', runConfig(policy));
  const { phase } = await bench.statusWhen<RunStatus>(
    run,
    (status) => status.phase.kind === 'awaiting-approval',
  );
  if (phase.kind !== 'awaiting-approval') throw new Error('unreachable');
  await run.signal('approve', { candidate: phase.request.candidate, by: 'ops-lead' });
  expect(await run.result()).toMatchObject({ kind: 'promoted' });
  return bench.client.workflow.getHandle(`promotion.${policy}`);
}

const watching = ({ phase }: PromotionStatus): boolean => phase.kind === 'watching';

test('started by hand it runs the gate, asks, promotes and watches', async () => {
  const policy = policyName();
  const handle = await bench.start('promotion', byHand(policy), `promotion.${policy}`);
  await bench.statusWhen<PromotionStatus>(
    handle,
    ({ phase }) => phase.kind === 'awaiting-approval',
  );
  expect(bench.world.calls).toContain('compare');
  await handle.executeUpdate<unknown, [unknown]>('review', {
    args: [{ candidate: digest(0x42), by: 'ops-lead', decision: 'approve' }],
  });
  const { approval } = await bench.statusWhen<PromotionStatus>(handle, watching);
  expect(approval).toMatchObject({ by: 'ops-lead', via: 'update', authenticated: false });
  expect(bench.world.champion).toEqual({ digest: digest(0x42), generation: 2 });
  await handle.terminate();
});

test('started by hand with a candidate that fails the gate it promotes nothing', async () => {
  bench.world.gate = 'fail';
  const handle = await bench.start('promotion', byHand(policyName()));
  expect(await handle.result()).toEqual({
    kind: 'gate-not-passed',
    reasons: ['the fake gate says fail'],
  });
  expect(bench.world.champion?.generation).toBe(1);
});

test('an approver takes a promotion back; a stranger and garbage do not', async () => {
  const handle = await promotedByRun(policyName());
  await bench.statusWhen<PromotionStatus>(handle, watching);
  await handle.signal('rollback', { by: 'mallory' });
  await handle.signal('rollback', 17);
  const { refusals } = await bench.statusWhen<PromotionStatus>(
    handle,
    (status) => status.refusals.length === 2,
  );
  expect(refusals[0]?.reason).toContain('mallory may not roll back');
  expect(bench.world.champion?.generation).toBe(2);
  await handle.signal('rollback', { by: 'ops-lead', reason: 'complaints' });
  expect(await handle.result()).toMatchObject({
    kind: 'rolled-back',
    by: 'ops-lead',
    reason: 'complaints',
  });
  expect(bench.world.champion).toEqual({ digest: digest(1), generation: 3 });
});

test('a promotion that only watches makes room for the next approved candidate', async () => {
  const policy = policyName();
  const first = await promotedByRun(policy);
  await bench.statusWhen<PromotionStatus>(first, watching);
  const { runId } = await first.describe();
  await promotedByRun(policy);
  const old = bench.client.workflow.getHandle(`promotion.${policy}`, runId);
  expect(await old.result()).toMatchObject({
    kind: 'kept',
    because: expect.stringContaining('superseded') as string,
  });
  await bench.client.workflow.getHandle(`promotion.${policy}`).terminate();
});

test('a promotion nobody takes back ends by itself when its watch is over', async () => {
  const policy = policyName();
  const run = await bench.start('trainingRun', runConfig(policy, { watch: '200ms' }));
  await bench.statusWhen<RunStatus>(run, (status) => status.phase.kind === 'awaiting-approval');
  await run.signal('approve', { candidate: digest(0x102), by: 'ops-lead' });
  await run.result();
  expect(await bench.client.workflow.getHandle(`promotion.${policy}`).result()).toMatchObject({
    kind: 'kept',
  });
});

test('a wrong field fails the promotion at once and names the path', async () => {
  const handle = await bench.start('promotion', {
    ...(byHand(policyName()) as object),
    candidate: 'latest',
  });
  await expect(handle.result()).rejects.toMatchObject({
    cause: { message: expect.stringContaining('candidate') as string, type: 'InvalidInput' },
  });
});

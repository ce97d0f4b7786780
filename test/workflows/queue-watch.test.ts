import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { RunStatus } from '../../src/loop/run-state';
import { queueStatus } from '../../workers/queue-status';
import { startQueueWatch, type QueueWatch } from '../../workers/queue-watch';
import type { EvaluationStatus } from '../../workflows/messages';
import { createFakeActivities, digest } from '../fakes/fake-activities';
import {
  createWorkflowBench,
  quietRuntime,
  runConfig,
  type WorkflowBench,
} from '../helpers/workflow-bench';

let bench: WorkflowBench;
let watches: QueueWatch[] = [];
const warnings: string[] = [];

const watch = (): QueueWatch => {
  const started = startQueueWatch({
    client: bench.client,
    taskQueue: bench.taskQueue,
    warn: (line) => void warnings.push(line),
    everyMs: 300,
    patienceMs: 1_000,
  });
  watches.push(started);
  return started;
};
const open = async (roles: Parameters<typeof createWorkflowBench>[1]): Promise<void> => {
  bench = await createWorkflowBench(createFakeActivities, roles);
};
const signalsOf = async (handle: WorkflowHandle): Promise<string[]> =>
  ((await handle.fetchHistory()).events ?? []).flatMap((event) => {
    const name = event.workflowExecutionSignaledEventAttributes?.signalName;
    return name === undefined || name === null ? [] : [name];
  });
const detailsOf = async (handle: WorkflowHandle): Promise<string> =>
  JSON.stringify(await handle.query('__temporal_workflow_metadata'));

beforeAll(quietRuntime);
afterEach(async () => {
  await Promise.all(watches.map((one) => one.stop()));
  watches = [];
  await bench.close();
  expect(warnings).toEqual([]);
});

test('a run whose training nobody polls for says so, and which line starts a worker; with a worker it goes on by itself', async () => {
  await open(['control', 'rollout']);
  const first = watch();
  const handle = await bench.start(
    'trainingRun',
    runConfig(`p-${randomUUID().slice(0, 8)}`, { iterations: 1 }),
  );
  const { phase, unattended } = await bench.statusWhen<RunStatus>(
    handle,
    (status) => status.phase.kind === 'needs-attention',
  );
  const queue = `${bench.taskQueue}-gpu`;
  const line = `RATCHET_TASK_QUEUE=${bench.taskQueue} npm run ratchet -- worker --roles gpu`;
  expect(unattended).toEqual([{ queue, since: expect.stringMatching(/^20\d\d-.*Z$/) as string }]);
  expect(phase).toMatchObject({ step: 'training', line });
  expect(phase).toMatchObject({
    reason: expect.stringContaining(`nobody polls ${queue}`) as string,
  });
  expect(await detailsOf(handle)).toContain(line);

  // Another control worker's watch, and one that was restarted, do not repeat it.
  await first.stop();
  watch();
  watch();
  await delay(3_000);
  expect(await signalsOf(handle)).toEqual(['queueUnattended']);

  await bench.addWorker('gpu');
  await bench.statusWhen<RunStatus>(handle, (status) => status.phase.kind === 'awaiting-approval');
  expect(await signalsOf(handle)).toContain('queueUnattended');
  await handle.terminate();
});

test('from outside it shows which queues nobody polls, also where no control worker runs', async () => {
  await open(['rollout']);
  let queues = await queueStatus(bench.client, bench.taskQueue);
  for (; queues[1]?.lastPoll === null; queues = await queueStatus(bench.client, bench.taskQueue))
    await delay(50); // its first poll is on its way
  expect(queues).toEqual([
    { queue: bench.taskQueue, role: 'control', lastPoll: null },
    {
      ...{ queue: `${bench.taskQueue}-rollout`, role: 'rollout' },
      lastPoll: expect.stringMatching(/Z$/) as string,
    },
    { queue: `${bench.taskQueue}-gpu`, role: 'gpu', lastPoll: null },
  ]);
});

test('while a worker is at it nothing is said, however long it takes: the history does not grow', async () => {
  await open(['control', 'rollout', 'gpu']);
  watch();
  let finish: () => void = () => undefined;
  bench.world.trainGate = new Promise((resolve) => (finish = resolve));
  const config = runConfig(`p-${randomUUID().slice(0, 8)}`, { iterations: 1 });
  const handle = await bench.start('trainingRun', config);
  await bench.statusWhen<RunStatus>(handle, (status) => status.phase.kind === 'training');
  const before = (await handle.describe()).historyLength;
  await delay(3_000);
  expect((await handle.describe()).historyLength).toBe(before);
  finish();
  await bench.statusWhen<RunStatus>(handle, (status) => status.phase.kind === 'awaiting-approval');
  expect(await signalsOf(handle)).toEqual([]);
  await handle.terminate();
});

test('an evaluation that nobody rolls out shows it in the promotion that waits for it, until a worker polls', async () => {
  await open(['control']);
  watch();
  const { dataset, agent, gate, approval } = runConfig('p');
  const policy = `p-${randomUUID().slice(0, 8)}`;
  const handle = await bench.start('promotion', {
    ...{ evidence: 'gather', policy, candidate: digest(0x42), dataset, agent, gate, approval },
  });
  const { phase } = await bench.statusWhen<RunStatus>(
    handle,
    (status) => status.phase.kind === 'needs-attention',
  );
  expect(phase).toMatchObject({
    reason: expect.stringContaining(`nobody polls ${bench.taskQueue}-rollout`) as string,
    line: expect.stringContaining('worker --roles rollout') as string,
  });
  const { runId } = await handle.describe();
  const child = bench.client.workflow.getHandle(`${handle.workflowId}.${runId.slice(0, 8)}.gate-1`);
  const status = await child.query<EvaluationStatus, []>('status');
  expect(status.phase).toMatch(/^needs-attention: evaluating: baseline/);
  await bench.addWorker('rollout');
  await bench.statusWhen<RunStatus>(handle, ({ phase: { kind } }) => kind === 'awaiting-approval');
  await handle.terminate();
});

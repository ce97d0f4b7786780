import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import type { RunPhase, RunStatus } from '../../src/loop/run-state';
import { readCheckpoint } from '../../src/storage/checkpoints';
import { readRouting, type Routing } from '../../src/storage/routing';
import { pendingStage } from '../../workers/demo/pending-stage';
import { testAddress } from '../helpers/temporal-server';
import { startWorkerProcess, temporaryHome, type WorkerProcess } from '../helpers/worker-process';

// Real worker processes, a real store: what a person ends in the middle leaves nothing running and nothing half done.

const CONFIG = {
  ...{ policy: 'small-desk', dataset: 'small-desk', agent: 'small-desk' },
  iterations: 1,
  tasksPerIteration: 1200,
  select: { maxTasks: 20 },
  rollouts: { shards: 2, concurrency: 8 },
  reward: { weights: { customer: 1 } },
  train: { algorithm: 'replay', epochs: 1_000, batch: 8, maxExamples: null }, // minutes: nobody waits for its end
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
};

let client: Client;
let home: Awaited<ReturnType<typeof temporaryHome>>;
let worker: WorkerProcess;
const taskQueue = `ended-${randomUUID()}`;

beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
  home = await temporaryHome();
  worker = await startWorkerProcess({
    home: home.home,
    taskQueue,
    env: { SMALL_DESK_AGENT_DELAY_MS: '100', SMALL_DESK_CALLS_FILE: join(home.home, 'calls') },
  });
});
afterAll(async () => {
  await worker.stop();
  await home.remove();
  await client.connection.close();
});

const start = (overrides: object = {}): Promise<WorkflowHandle> =>
  client.workflow.start('trainingRun', {
    ...{ taskQueue, workflowId: `${taskQueue}-${randomUUID()}` },
    args: [{ ...CONFIG, ...overrides }],
  });

async function untilPhase(handle: WorkflowHandle, kind: RunPhase['kind']): Promise<void> {
  for (;;) {
    const { phase } = await handle.query<RunStatus, []>('status');
    if (phase.kind === kind) return;
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    await delay(100);
  }
}

/** Waits until the stage is under way. */
async function untilInside(handle: WorkflowHandle, kind: RunPhase['kind']): Promise<void> {
  await untilPhase(handle, kind);
  for (;;) {
    const stage = await pendingStage(client, handle.workflowId);
    if (stage !== null && stage.done > 0.05 * stage.of) return;
    await delay(100);
  }
}

const agentCalls = async (): Promise<number> => (await stat(join(home.home, 'calls'))).size;

/** The champion, which can be read and is whole. */
async function champion(): Promise<Routing> {
  const store = createLocalObjectStore({ root: join(home.home, 'store') });
  const found = await readRouting(store, 'small-desk');
  if (found === null) throw new Error('expected a champion');
  await readCheckpoint(store, found.routing.champion);
  return found.routing;
}

test('cancelled in its rollouts and terminated in its training, a run stops within seconds, and the next one works', async () => {
  const first = await start();
  await untilInside(first, 'rolling-out');
  const before = await champion();
  await first.cancel();
  await delay(5_000);
  const calls = await agentCalls();
  await delay(2_000);
  expect(await agentCalls()).toBe(calls); // no agent goes on
  expect(calls).toBeLessThan(CONFIG.tasksPerIteration);
  expect((await first.describe()).status.name).toBe('CANCELLED');

  const second = await start({ tasksPerIteration: 200 });
  await untilInside(second, 'training');
  await second.terminate();

  // The only slot for training is free again: the third run gets it, is paused after its iteration, and goes on.
  const third = await start({
    tasksPerIteration: 200,
    train: { ...CONFIG.train, epochs: 1 },
    iterations: 2,
  });
  await untilPhase(third, 'rolling-out');
  await third.signal('pause');
  await untilPhase(third, 'paused');
  expect((await third.describe()).raw.pendingActivities ?? []).toEqual([]);
  expect(await champion()).toEqual(before);
  await third.signal('stop');
  await untilPhase(third, 'gating');
  await third.terminate();
  expect(await champion()).toEqual(before);
}, 180_000);

import { randomUUID } from 'node:crypto';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import type { RunStatus } from '../../src/loop/run-state';
import { pendingStage } from '../../workers/demo/pending-stage';
import { testAddress } from '../helpers/temporal-server';
import { startWorkerProcess, temporaryHome, type WorkerProcess } from '../helpers/worker-process';

// Real worker processes on a real server. What is compared is the digest of the last checkpoint: the hash of all its bytes.

const CONFIG = {
  policy: 'small-desk',
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 2,
  tasksPerIteration: 1200,
  rollouts: { shards: 2, concurrency: 8 },
  reward: { weights: { customer: 1 } },
  train: { algorithm: 'replay', epochs: 150, batch: 32, maxExamples: null }, // long enough to have a middle
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
};
const ENV = { RATCHET_STATE_EVERY: '200' };
/** Of the worker that is to be killed inside of a batch: progress is told every 2 s, so a batch with a middle that is seen takes many of them. */
const SLOW_AGENT = { SMALL_DESK_AGENT_DELAY_MS: '150' };

let client: Client;
beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
});
afterAll(() => client.connection.close());

interface Installation {
  readonly handle: WorkflowHandle;
  worker: WorkerProcess;
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** @param firstLife what only the first worker gets of its environment. */
async function install(firstLife: Record<string, string> = {}): Promise<Installation> {
  const temporary = await temporaryHome();
  const taskQueue = `crash-${randomUUID()}`;
  const start = (more = {}): Promise<WorkerProcess> =>
    startWorkerProcess({ home: temporary.home, taskQueue, env: { ...ENV, ...more } });
  const installation: Installation = {
    worker: await start(firstLife),
    handle: await client.workflow.start('trainingRun', {
      taskQueue,
      workflowId: taskQueue,
      args: [CONFIG],
    }),
    async restart() {
      await installation.worker.kill();
      installation.worker = await start();
    },
    async close() {
      await installation.handle.terminate();
      await installation.worker.stop();
      await temporary.remove();
    },
  };
  return installation;
}

const phaseOf = async (handle: WorkflowHandle): Promise<RunStatus> =>
  handle.query<RunStatus, []>('status');

/** Waits until the run's stage is under way: not its first moment, and not its last. */
async function untilInside(
  handle: WorkflowHandle,
  kind: RunStatus['phase']['kind'],
  iteration: number,
): Promise<void> {
  for (;;) {
    const { phase } = await phaseOf(handle);
    if (phase.kind === kind && 'iteration' in phase && phase.iteration === iteration) {
      const stage = await pendingStage(client, handle.workflowId);
      if (stage !== null && stage.done > 0.1 * stage.of && stage.done < 0.9 * stage.of) return;
    }
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    if (phase.kind === 'awaiting-approval' || phase.kind === 'done') {
      throw new Error(
        `the run was past ${kind} before anything could be killed: make the stage longer`,
      );
    }
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

async function finalCheckpoints(handle: WorkflowHandle): Promise<string[]> {
  for (;;) {
    const status = await phaseOf(handle);
    if (status.phase.kind === 'awaiting-approval' || status.phase.kind === 'done') {
      return status.points.map(({ checkpoint }) => checkpoint);
    }
    if (status.phase.kind === 'needs-attention') throw new Error(status.phase.reason);
    await new Promise((wake) => setTimeout(wake, 300));
  }
}

test('a worker killed in the middle of a rollout batch and one in the middle of training change nothing', async () => {
  const unbroken = await install();
  let expected: string[];
  try {
    expected = await finalCheckpoints(unbroken.handle);
  } finally {
    await unbroken.close();
  }

  const broken = await install(SLOW_AGENT);
  try {
    await untilInside(broken.handle, 'rolling-out', 0);
    await broken.restart();
    await untilInside(broken.handle, 'training', 1);
    await broken.restart();
    const got = await finalCheckpoints(broken.handle);
    expect(got).toEqual(expected);
    // It was killed indeed: the activities that ran then were taken up by a second attempt.
    const history = await broken.handle.fetchHistory();
    const attempts = (history.events ?? []).map(
      (event) => event.activityTaskStartedEventAttributes?.attempt ?? 1,
    );
    expect(Math.max(...attempts)).toBeGreaterThan(1);
  } finally {
    await broken.close();
  }
}, 300_000);

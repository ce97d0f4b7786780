import { randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { verifyStore } from '../../src/integrity/verify-store';
import type { RunStatus } from '../../src/loop/run-state';
import { exportTrajectories } from '../../src/runs/export-trajectories';
import { findRun } from '../../src/runs/run-catalog';
import { pendingStage } from '../../workers/demo/pending-stage';
import { testAddress } from '../helpers/temporal-server';
import { startWorkerProcess, temporaryHome } from '../helpers/worker-process';

// A real worker process whose wall clock is set back by an hour in the middle of its run: by ntp, by an administrator, by a snapshot.

const HOUR_MS = 60 * 60 * 1000;
const CONFIG = {
  policy: 'small-desk',
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 2,
  tasksPerIteration: 100,
  rollouts: { shards: 2, concurrency: 4 },
  reward: { weights: { customer: 1 } },
  select: { maxTasks: 20 },
  train: { algorithm: 'replay', epochs: 2, batch: 32 },
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
};

let client: Client;
beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
});
afterAll(() => client.connection.close());

interface Ended {
  readonly checkpoints: readonly string[];
  /** What `verify` finds, and what the local store left over. */
  readonly wrong: readonly unknown[];
  /** Times of decisions, oldest rollout first. */
  readonly decidedAt: readonly number[];
}

/** Runs both iterations. @param inTheMiddle is called once, while the first batch is rolled out. */
async function runIterations(inTheMiddle: (clockFile: string) => Promise<void>): Promise<Ended> {
  const temporary = await temporaryHome();
  const taskQueue = `clock-${randomUUID()}`;
  const clockFile = join(temporary.home, 'clock-shift');
  const root = join(temporary.home, 'store');
  const worker = await startWorkerProcess({
    ...{ home: temporary.home, taskQueue },
    env: {
      NODE_OPTIONS: `--require=${join(__dirname, '../helpers/shift-clock.cjs')}`,
      SHIFT_CLOCK_FILE: clockFile,
      SMALL_DESK_AGENT_DELAY_MS: '300', // a batch has a middle
    },
  });
  try {
    const handle = await client.workflow.start('trainingRun', {
      ...{ taskQueue, workflowId: taskQueue, args: [CONFIG] },
    });
    const checkpoints = await untilTrained(handle, () => inTheMiddle(clockFile));
    await handle.terminate();
    await worker.stop();

    const store = createLocalObjectStore({ root });
    const { findings } = await verifyStore(store, { isDeep: true, doesQuarantine: false });
    const decidedAt: number[] = [];
    for await (const row of exportTrajectories(store, await findRun(store, taskQueue))) {
      if (row.type !== 'trajectory') continue;
      decidedAt.push(...row.trajectory.decisions.map(({ at }) => Date.parse(at)));
    }
    return { checkpoints, wrong: [...findings, ...(await readdir(join(root, 'tmp')))], decidedAt };
  } finally {
    await worker.kill();
    await temporary.remove();
  }
}

async function untilTrained(
  handle: WorkflowHandle,
  inTheMiddle: () => Promise<void>,
): Promise<string[]> {
  for (let isDone = false; ; await new Promise((wake) => setTimeout(wake, 50))) {
    const { phase, points } = await handle.query<RunStatus, []>('status');
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    if (!isDone && phase.kind === 'rolling-out') {
      const stage = await pendingStage(client, handle.workflowId);
      if (stage !== null && stage.done > 0) {
        isDone = true;
        await inTheMiddle();
      }
    }
    if (points.length === CONFIG.iterations) {
      expect(isDone).toBe(true);
      return points.map(({ checkpoint }) => checkpoint);
    }
  }
}

test('a clock that is set back by an hour in the middle of a run changes nothing', async () => {
  const [unbroken, broken] = await Promise.all([
    runIterations(async () => undefined),
    runIterations((clockFile) => writeFile(clockFile, String(-HOUR_MS))),
  ]);
  expect(unbroken.checkpoints).toHaveLength(2);
  expect(broken.checkpoints).toEqual(unbroken.checkpoints);
  expect(broken.wrong).toEqual([]);
  // It was set back indeed, while agents were at work.
  const [first = 0] = broken.decidedAt;
  expect(Math.min(...broken.decidedAt)).toBeLessThan(first - HOUR_MS / 2);
}, 120_000);

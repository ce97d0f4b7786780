import { randomUUID } from 'node:crypto';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import type { RunStatus } from '../../src/loop/run-state';
import { testAddress } from '../helpers/temporal-server';
import { startWorkerProcess, temporaryHome, type WorkerProcess } from '../helpers/worker-process';

// A fleet of real worker processes on a real server. What is compared is the digest of the checkpoint: the hash of all its bytes.

const CONFIG = {
  policy: 'small-desk',
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 1,
  tasksPerIteration: 480,
  select: { maxTasks: 12 },
  rollouts: { shards: 6, concurrency: 4 },
  reward: { weights: { customer: 1 } },
  train: { algorithm: 'replay', epochs: 200, batch: 16, maxExamples: null }, // long enough to have a middle
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
};
const GRACE_MS = 20_000;

let client: Client;
let home: Awaited<ReturnType<typeof temporaryHome>>;
beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
});
beforeEach(async () => {
  home = await temporaryHome();
});
afterEach(() => home.remove());
afterAll(() => client.connection.close());

const startRun = (taskQueue: string): Promise<WorkflowHandle> =>
  client.workflow.start('trainingRun', { taskQueue, workflowId: taskQueue, args: [CONFIG] });

/** The checkpoint of the only iteration. */
async function trainedCheckpoint(handle: WorkflowHandle): Promise<string> {
  for (;;) {
    const { phase, points } = await handle.query<RunStatus, []>('status');
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    if (points[0] !== undefined) return points[0].checkpoint;
    await new Promise((wake) => setTimeout(wake, 200));
  }
}

/** Pids of the workers that run activities of this type and have got into the middle of them. */
async function pidsInside(handle: WorkflowHandle, type: string, count: number): Promise<number[]> {
  for (;;) {
    const { raw } = await handle.describe();
    const pids = (raw.pendingActivities ?? [])
      .filter(({ activityType, heartbeatDetails }) => {
        const data = heartbeatDetails?.payloads?.[0]?.data;
        if (activityType?.name !== type || !data) return false;
        return (JSON.parse(Buffer.from(data).toString()) as { done: number }).done > 5;
      })
      .map(({ lastWorkerIdentity }) => Number.parseInt(lastWorkerIdentity ?? '', 10));
    const distinct = [...new Set(pids)];
    if (distinct.length >= count) return distinct;
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

/** Why activities of each type had to begin again. */
async function failuresByType(handle: WorkflowHandle): Promise<[string, string][]> {
  const { events } = await handle.fetchHistory();
  const types = new Map(
    (events ?? []).map((event) => [
      String(event.eventId),
      event.activityTaskScheduledEventAttributes?.activityType?.name ?? '',
    ]),
  );
  return (events ?? []).flatMap(({ activityTaskStartedEventAttributes: started }) => {
    const failure = started?.lastFailure;
    if (!failure) return [];
    const why = failure.applicationFailureInfo?.type ?? 'time-out';
    return [[types.get(String(started.scheduledEventId)) ?? '', why] as [string, string]];
  });
}

test('two control, three rollout and two GPU workers, of which one each is killed and told to stop, end in the digest of one worker', async () => {
  const alone = `alone-${randomUUID()}`;
  const single = await startWorkerProcess({ home: home.home, taskQueue: alone });
  let expected: string;
  try {
    const handle = await startRun(alone);
    expected = await trainedCheckpoint(handle);
    await handle.terminate();
  } finally {
    await single.stop();
  }

  const taskQueue = `fleet-${randomUUID()}`;
  const other = await temporaryHome(); // nothing of the run before
  const workers = new Map<number, WorkerProcess>();
  const start = async (roles: string): Promise<WorkerProcess> => {
    const worker = await startWorkerProcess({
      ...{ home: other.home, taskQueue, roles },
      env: { SMALL_DESK_AGENT_DELAY_MS: '250', RATCHET_STATE_EVERY: '1000000' },
    });
    workers.set(worker.pid, worker);
    return worker;
  };
  const byPid = (pid: number | undefined): WorkerProcess => {
    const worker = workers.get(pid ?? 0);
    if (worker === undefined) throw new Error(`no worker of ours has the pid ${pid}`);
    return worker;
  };
  /** Tells a worker to stop; it must exit by itself, well, and in time. */
  const handOver = async (worker: WorkerProcess): Promise<void> => {
    const toldAt = performance.now();
    worker.signal('SIGTERM');
    expect(await worker.exitCode).toBe(0);
    expect(performance.now() - toldAt).toBeLessThan(GRACE_MS);
    workers.delete(worker.pid);
  };
  const kill = async (worker: WorkerProcess): Promise<void> => {
    await worker.kill();
    workers.delete(worker.pid);
  };
  try {
    const [control, secondControl] = await Promise.all(
      ['control', 'control', 'rollout', 'rollout', 'rollout', 'gpu', 'gpu'].map(start),
    );
    const handle = await startRun(taskQueue);

    for (;;) {
      const { phase } = await handle.query<RunStatus, []>('status');
      if (phase.kind === 'rolling-out') break;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    const [leaving, dying] = await pidsInside(handle, 'rollOut', 2);
    await Promise.all([
      handOver(byPid(leaving)),
      kill(byPid(dying)),
      kill(control as WorkerProcess),
    ]);
    await start('control');

    const [training] = await pidsInside(handle, 'train', 1);
    await Promise.all([handOver(byPid(training)), handOver(secondControl as WorkerProcess)]);

    expect(await trainedCheckpoint(handle)).toBe(expected);
    const failures = await failuresByType(handle);
    // Handed over, not found dead: the training had no state but the one it wrote when its worker was told to stop.
    expect(failures).toContainEqual(['train', 'WorkerShutdown']);
    expect(failures).not.toContainEqual(['train', 'time-out']);
    expect(failures).toContainEqual(['rollOut', 'WorkerShutdown']);
    expect(failures).toContainEqual(['rollOut', 'time-out']); // the one that was killed
    await handle.terminate();
  } finally {
    await Promise.all([...workers.values()].map((worker) => worker.stop()));
    await other.remove();
  }
}, 300_000);

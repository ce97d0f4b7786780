import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { distPath } from '../../src/adapters/dist-path';
import type { RunStatus } from '../../src/loop/run-state';
import { METRICS } from '../../src/ports/meter';
import { BatchManifest } from '../../src/rollouts/batch-manifest';
import type { TrainResult } from '../../src/schemas/stages';
import { pendingStage } from '../../workers/demo/pending-stage';
import { anyFreePort } from '../../workers/servers/ports';
import { testAddress, testBinary } from '../helpers/temporal-server';
import { startWorkerProcess, temporaryHome, type WorkerProcess } from '../helpers/worker-process';

// What an operator sees of a worker: versions, metrics, logs, health, and how it ends. One real worker, one real run.

const run = promisify(execFile);
const CONFIG = {
  policy: 'small-desk',
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 1,
  tasksPerIteration: 300,
  select: { maxTasks: 20 },
  rollouts: { shards: 2, concurrency: 8 },
  reward: { weights: { customer: 1 } },
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
};
const taskQueue = `operations-${randomUUID()}`;
const DEPLOYMENT = `test-${randomUUID()}`;

let client: Client;
let home: Awaited<ReturnType<typeof temporaryHome>>;
let worker: WorkerProcess;
let metricsAddress: string;
let healthFile: string;

beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
  home = await temporaryHome();
  metricsAddress = `127.0.0.1:${await anyFreePort()}`;
  healthFile = join(home.home, 'health.json');
  worker = await startWorkerProcess({
    ...{ home: home.home, taskQueue },
    env: {
      RATCHET_LOG: 'json',
      RATCHET_METRICS: metricsAddress,
      RATCHET_HEALTH_FILE: healthFile,
      RATCHET_DEPLOYMENT: DEPLOYMENT,
      RATCHET_BUILD_ID: '1.0',
      RATCHET_STATE_EVERY: '50',
    },
  });
});
afterAll(async () => {
  await worker.kill();
  await client.connection.close();
  await home.remove();
});

const logLines = (): Record<string, unknown>[] =>
  worker
    .log()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const health = async (): Promise<string> => {
  const env = { ...process.env, RATCHET_HEALTH_FILE: healthFile };
  try {
    return (await run(process.execPath, [distPath('workers/cli.js'), 'health'], { env })).stdout;
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
};

async function phaseReached(
  handle: WorkflowHandle,
  kind: RunStatus['phase']['kind'],
): Promise<RunStatus> {
  for (;;) {
    const status = await handle.query<RunStatus, []>('status');
    if (status.phase.kind === kind) return status;
    if (status.phase.kind === 'needs-attention') throw new Error(status.phase.reason);
    await delay(200);
  }
}

/** The samples of a scrape by name and labels, as they are written. */
async function scrape(): Promise<Map<string, number>> {
  const response = await fetch(`http://${metricsAddress}/metrics`);
  const lines = (await response.text()).split('\n').filter((line) => /^[a-z]/.test(line));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

const sum = (samples: Map<string, number>, prefix: string): number =>
  [...samples].reduce(
    (total, [name, value]) => (name.startsWith(prefix) ? total + value : total),
    0,
  );

/** What the store says about the rollouts of this run: its batches and their segments. */
async function inTheStore(): Promise<{
  rollouts: number;
  completed: number;
  segments: number;
  bytes: number;
}> {
  const store = createLocalObjectStore({ root: join(home.home, 'store') });
  const found = { rollouts: 0, completed: 0, segments: 0, bytes: 0 };
  for await (const { key, sizeBytes } of store.list('v1/runs/')) {
    if (!key.includes('/trajectories/')) continue;
    if (key.endsWith('-batch.jsonl')) {
      const text = Buffer.from((await store.get(key)).bytes).toString();
      const manifest = BatchManifest.parse(JSON.parse(text));
      found.rollouts += manifest.rollouts;
      found.completed += manifest.outcomes['completed'] ?? 0;
    } else {
      found.segments += 1;
      found.bytes += sizeBytes;
    }
  }
  return found;
}

async function trainResult(handle: WorkflowHandle): Promise<TrainResult> {
  const { events } = await handle.fetchHistory();
  const scheduled = (events ?? []).find(
    (event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'train',
  );
  const completed = (events ?? []).find(
    ({ activityTaskCompletedEventAttributes: done }) =>
      done && String(done.scheduledEventId) === String(scheduled?.eventId),
  );
  const payload = completed?.activityTaskCompletedEventAttributes?.result?.payloads?.[0];
  return defaultPayloadConverter.fromPayload<TrainResult>(payload ?? {});
}

let handle: WorkflowHandle;

test('a versioned worker gets work once the line that it logs has made it the current one', async () => {
  handle = await client.workflow.start('trainingRun', {
    ...{ taskQueue, workflowId: taskQueue, args: [CONFIG] },
  });
  expect(await health()).toMatch(/^polling, pid \d+/);
  await delay(1_500);
  const before = await handle.describe();
  expect(before.historyLength).toBeLessThan(4); // started, a task scheduled, nobody to take it

  const logged = logLines().map(
    ({ message }) => /temporal (worker deployment .*)/.exec(String(message))?.[1],
  );
  const line = logged.find((one) => one !== undefined) ?? '';
  expect(line).toContain(`--deployment-name ${DEPLOYMENT} --build-id 1.0`);
  await run(await testBinary(), [...line.split(' '), '--address', testAddress()], {
    timeout: 20_000,
  });

  await phaseReached(handle, 'awaiting-approval');
  const { raw } = await handle.describe();
  expect(raw.workflowExecutionInfo?.versioningInfo).toMatchObject({
    deploymentVersion: { deploymentName: DEPLOYMENT, buildId: '1.0' },
  });
  expect(raw.workflowExecutionInfo?.versioningInfo?.behavior).toBe(2); // AUTO_UPGRADE
});

test('every temporal line of docs/operations.md is one that the CLI knows, with its options', async () => {
  const page = await readFile(join(__dirname, '../../docs/operations.md'), 'utf8');
  const lines = [...page.matchAll(/(?:^|`)temporal ([a-z][^`\n]*)/gm)].map(([, line = '']) => line);
  expect(lines.length).toBeGreaterThan(7);
  for (const line of lines) {
    const words = line.split(' ');
    const firstOption = words.findIndex((word) => word.startsWith('-'));
    const command = firstOption === -1 ? words : words.slice(0, firstOption);
    const { stdout: help } = await run(await testBinary(), [...command, '--help']);
    for (const option of words.filter((word) => /^--?[a-z]/.test(word))) {
      expect([line, help.match(new RegExp(`(?<![\\w-])${option}(?![\\w-])`))?.[0]]).toEqual([
        line,
        option,
      ]);
    }
    expect([line, help]).toEqual([line, expect.stringContaining(`temporal ${command.join(' ')}`)]);
  }
});

test('its metrics count what the run has left in the store and in its history', async () => {
  const samples = await scrape();
  const stored = await inTheStore();
  expect(stored.rollouts).toBeGreaterThan(300);
  expect(sum(samples, 'ratchet_rollouts_total')).toBe(stored.rollouts);
  expect(samples.get('ratchet_rollouts_total{outcome="completed"}')).toBe(stored.completed);
  expect(samples.get('ratchet_rollout_seconds_count')).toBe(stored.rollouts);
  expect(samples.get('ratchet_agent_attempts_total{agent="small-desk",exit="returned"}')).toBe(
    stored.rollouts,
  );
  expect(samples.get('ratchet_segments_written_total')).toBe(stored.segments);
  expect(samples.get('ratchet_segments_written_bytes_total')).toBe(stored.bytes);
  const trained = await trainResult(handle);
  expect(samples.get('ratchet_training_steps_total{job="train"}')).toBe(trained.optimizerSteps);
  expect(samples.get('ratchet_training_examples_total{job="train"}')).toBe(trained.examples);
  const puts = 'ratchet_store_operations_total{kind="trajectories",operation="put",outcome="ok"}';
  expect(samples.get(puts)).toBeGreaterThan(stored.segments); // and their manifests
  expect(sum(samples, 'ratchet_store_operation_seconds_count')).toBe(
    sum(samples, 'ratchet_store_operations_total'),
  );
  expect(samples.get('ratchet_parked_runs')).toBe(0);
  // The SDK's own, as Temporal's dashboards call them.
  expect(sum(samples, 'temporal_activity_execution_latency_count')).toBeGreaterThan(5);
  expect(sum(samples, 'temporal_worker_task_slots_available')).toBeGreaterThan(0);
});

test('every metric that it serves as ours is one of the table, with its labels', async () => {
  const known = Object.values(METRICS);
  for (const sample of (await scrape()).keys()) {
    if (!sample.startsWith('ratchet_')) continue;
    const [, name = '', labels = ''] =
      /^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?$/.exec(sample) ?? [];
    const metric = known.find((one) => one.name === name);
    expect([sample, metric?.name]).toEqual([sample, name]);
    const names = [...labels.matchAll(/(\w+)="/g)]
      .map(([, label]) => label)
      .filter((one) => one !== 'le');
    expect([sample, names.sort()]).toEqual([sample, [...(metric?.labels ?? [])].sort()]);
  }
});

test('every line of its log is one JSON object that says when, how bad, what, who and where', async () => {
  const lines = logLines();
  for (const line of lines) {
    expect(line).toEqual(
      expect.objectContaining({
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
        level: expect.stringMatching(/^(debug|info|warn|error)$/) as string,
        message: expect.any(String) as string,
        role: expect.stringMatching(/^(control|rollout|gpu)(,(control|rollout|gpu))*$/) as string,
      }),
    );
    expect(Object.keys(line).filter((name) => /token|secret|password/i.test(name))).toEqual([]);
  }
  const done = lines.filter(({ message }) => message === 'activity is done');
  const rolledOut = done.filter(
    ({ activityType, run: of, iteration, workflowId }) =>
      activityType === 'rollOut' &&
      workflowId === taskQueue &&
      iteration === 0 &&
      String(of).startsWith(`${taskQueue}.`),
  );
  expect(rolledOut.length).toBeGreaterThanOrEqual(2);
  for (const line of rolledOut) {
    expect(line).toMatchObject({
      ...{ role: 'rollout', attempt: 1, level: 'info' },
      runId: expect.any(String) as string,
      activityId: expect.any(String) as string,
      seconds: expect.any(Number) as number,
    });
  }
  expect(JSON.stringify(lines)).not.toMatch(/rks-|rk-[A-Za-z0-9]/);
});

test('told to stop it says so to its health check, and is gone in time with its file', async () => {
  worker.signal('SIGTERM');
  expect(await worker.exitCode).toBe(0);
  expect(logLines().map(({ message }) => message)).toContainEqual(
    expect.stringContaining('SIGTERM: handing running work over'),
  );
  expect(await health()).toContain('no worker says that it is there');
  await handle.terminate();
});

test('told to stop twice it ends at once, in the middle of its work', async () => {
  const queue = `impatient-${randomUUID()}`;
  const impatient = await startWorkerProcess({
    ...{ home: home.home, taskQueue: queue },
    env: { SMALL_DESK_AGENT_DELAY_MS: '6000' },
  });
  const busy = await client.workflow.start('trainingRun', {
    ...{ taskQueue: queue, workflowId: queue, args: [CONFIG] },
  });
  await phaseReached(busy, 'selecting');
  // When the first agents are done, the next ones have begun, for 6 s.
  while (((await pendingStage(client, queue))?.done ?? 0) === 0) await delay(100);
  impatient.signal('SIGTERM');
  await delay(1_000);
  const again = performance.now();
  impatient.signal('SIGTERM');
  expect(await impatient.exitCode).toBe(143);
  expect(performance.now() - again).toBeLessThan(3_000);
  await busy.terminate();
});

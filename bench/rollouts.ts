import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { distPath } from '../src/adapters/dist-path';
import { DEFAULT_TASK_QUEUE } from '../src/loop/task-queues';
import type { RunConfigInput } from '../src/schemas/run-config';
import { startOwnProcess } from '../workers/demo/child-process';
import { startDevServer } from '../workers/servers/dev-server';
import { anyFreePort } from '../workers/servers/ports';
import { provision } from '../workers/servers/provision';
import { renderProvisionProgress } from '../workers/servers/provision-progress';
import { temporalSpec } from '../workers/servers/server-spec';
import type { trainingRun } from '../workflows';
import { CALLS } from './four-calls/conversation';
import { iterationOf, type Iteration } from './support/iteration-events';
import { startUsageLog } from './support/process-usage';

const FEW = 1_000;
/** BENCH_ROLLOUTS=10000 gives a first impression in a tenth of the time. */
const MANY = Number(process.env['BENCH_ROLLOUTS'] ?? 100_000);
const WITH_OPENAI = 4_000;

/** One per core of the machine that the figure is promised for. */
const ROLLOUT_WORKERS = 2;
/** As many as the workers take at once, so that each of them gets its part. */
const SHARDS = 8;

/**
 * What rollouts cost. Everything is real: Temporal's dev server on a database file, a worker for workflows and training, two
 * for rollouts, the local store with every fsync, a training run of one iteration, and its agents' calls by HTTP on
 * loopback. A rollout is a conversation of four calls (bench/four-calls); the policy is a network of a few thousand
 * parameters in ONNX Runtime. The agents are modules: they, their HTTP client and the gateway share the two workers.
 */
export async function run(): Promise<Record<string, number>> {
  const home = await mkdtemp(join(tmpdir(), 'ratchet-bench-'));
  const stops: (() => Promise<void>)[] = [() => rm(home, { recursive: true, force: true })];
  try {
    const { path: binary } = await provision(temporalSpec, { progress: renderProvisionProgress() });
    const server = await startDevServer({
      ...{ stateDir: home, binary, lifetime: 'with-parent', headless: true, detached: false },
      ...{ port: await anyFreePort(), uiPort: await anyFreePort() },
    });
    stops.push(() => server.stop());
    const start = async (name: string, roles: string): Promise<number> => {
      const worker = await startOwnProcess({
        name,
        args: ['worker', '--roles', roles],
        env: {
          ...process.env,
          RATCHET_HOME: home,
          RATCHET_PROJECT: distPath('bench/four-calls/project.js'),
          TEMPORAL_ADDRESS: server.address,
          TEMPORAL_NAMESPACE: 'default',
        },
        logFile: join(home, 'logs', `${name}.log`),
      });
      stops.push(() => worker.stop());
      return worker.pid;
    };
    const [, ...pids] = await Promise.all([
      start('control', 'control,gpu'),
      ...Array.from({ length: ROLLOUT_WORKERS }, (_, n) => start(`rollout-${n}`, 'rollout')),
    ]);
    const connection = await Connection.connect({ address: server.address });
    stops.push(() => connection.close());
    const client = new Client({ connection });
    const usage = startUsageLog(pids);
    stops.push(async () => usage.stop());

    const few = await train(client, 'few', FEW, 'four-calls');
    const many = await train(client, 'many', MANY, 'four-calls');
    const openAi = await train(client, 'openai', WITH_OPENAI, 'four-calls-openai');
    const { startedAt, rolledOutAt, scoredAt } = many;
    const tenth = (rolledOutAt - startedAt) / 10;
    /** The most that a worker held while the n-th tenth of the rollouts ran. */
    const rssMbOfTenth = (n: number): number =>
      usage.maxRssMb(startedAt + (n - 1) * tenth, startedAt + n * tenth);
    const seconds = (rolledOutAt - startedAt) / 1_000;
    return {
      rolloutsPerSecond: MANY / seconds,
      callsPerSecond: (CALLS * MANY) / seconds,
      historyEventsPerIteration: many.events + many.workflowTaskEvents,
      rssMb: usage.maxRssMb(startedAt, scoredAt),
      cpuMicrosPerCall: (usage.cpuSeconds(startedAt, rolledOutAt) * 1e6) / (CALLS * MANY),
      [`eventsAt${FEW}`]: few.events,
      [`eventsAt${MANY}`]: many.events,
      [`workflowTaskEventsAt${FEW}`]: few.workflowTaskEvents,
      [`workflowTaskEventsAt${MANY}`]: many.workflowTaskEvents,
      rssMbFirstTenth: rssMbOfTenth(1),
      rssMbThirdTenth: rssMbOfTenth(3),
      rssMbLastTenth: rssMbOfTenth(10),
      rssMbScoring: usage.maxRssMb(rolledOutAt, scoredAt),
      scoredPerSecond: MANY / ((scoredAt - rolledOutAt) / 1_000),
      rolloutsPerSecondOpenAiSdk: WITH_OPENAI / ((openAi.rolledOutAt - openAi.startedAt) / 1_000),
    };
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

/** A training run of one iteration of so many rollouts, to its end. */
async function train(
  client: Client,
  name: string,
  rollouts: number,
  agent: string,
): Promise<Iteration> {
  const config: RunConfigInput = {
    ...{ policy: 'four-calls', dataset: 'four-calls', agent, iterations: 1 },
    tasksPerIteration: rollouts,
    rollouts: { shards: SHARDS },
    reward: { weights: { resolved: 1 } },
    train: { algorithm: 'replay', maxExamples: 1_000 },
    gate: { target: 'resolved' },
    report: false,
    approval: { approvers: ['bench'], deadline: '1s' }, // nobody is there to approve
  };
  const handle = await client.workflow.start<typeof trainingRun>('trainingRun', {
    ...{ taskQueue: DEFAULT_TASK_QUEUE, workflowId: `bench-${name}`, args: [config] },
  });
  await handle.result();
  return iterationOf(await handle.fetchHistory());
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { RunStatus } from '../src/loop/run-state';
import type { RunConfigInput } from '../src/schemas/run-config';
import { type OwnProcess, startOwnProcess } from '../workers/demo/child-process';
import { pendingStage } from '../workers/demo/pending-stage';
import { serversStatus } from '../workers/servers/servers';
import { serversUp } from '../workers/servers/servers';
import { type Installation, openInstallation } from './support/installation';

const POLL_MS = 50;
const PATIENCE_MS = 120_000;
const PROCESSES = [
  ['control', 'worker', '--roles', 'control'],
  ['rollout', 'worker', '--roles', 'rollout'],
  ['gpu', 'worker', '--roles', 'gpu'],
  ['gateway', 'gateway'],
] as const;

/** Long enough that both the rollouts and the training have a middle. */
const CONFIG: RunConfigInput = {
  ...{ policy: 'support-desk', dataset: 'support-desk', agent: 'support-desk', seed: 1 },
  iterations: 1,
  tasksPerIteration: 7_000,
  reward: { weights: { customer: 1 } },
  train: { algorithm: 'replay', epochs: 100, batch: 64 },
  select: { maxTasks: 100 },
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['nobody'], deadline: '1h' },
};

/**
 * How long it takes from `kill -9` of everything (the Temporal server, the control, rollout and GPU workers, the gateway) until work goes on
 * again, counted from the moment at which the first of them is started anew: once in the middle of a rollout batch, until an agent is
 * answered; once in the middle of a training, until it says that it has made a step.
 *
 * @returns `seconds`, the longer of the two.
 */
export async function run(): Promise<Record<string, number>> {
  const installation = await openInstallation();
  const beacon = join(installation.home, 'beacon');
  let processes = await startAll(installation, beacon);
  try {
    const { client } = installation;
    const handle = await client.workflow.start('trainingRun', {
      ...{ taskQueue: 'ratchet', workflowId: 'recovery', args: [CONFIG] },
    });

    await untilInside(client, handle, 'rolling-out');
    await killAll(installation, processes);
    const rolloutsFrom = Date.now();
    processes = await startAll(installation, beacon);
    await until('an agent is answered', async () => (await lastAnswer(beacon)) > rolloutsFrom);
    const rolloutSeconds = (Date.now() - rolloutsFrom) / 1_000;

    await untilInside(client, handle, 'training');
    await killAll(installation, processes);
    const trainingFrom = Date.now();
    processes = await startAll(installation, beacon);
    let resumedAt: number | null = null;
    await until('the training makes a step', async () => {
      const { raw } = await handle.describe();
      if (!raw.pendingActivities?.some(({ attempt }) => (attempt ?? 1) > 1)) return false;
      const stage = await pendingStage(client, handle.workflowId);
      const startedAgain = raw.pendingActivities.some(
        ({ lastStartedTime }) =>
          Number(lastStartedTime?.seconds ?? 0) * 1_000 >= trainingFrom - 999,
      );
      if (!startedAgain || stage === null) return false;
      // It begins by saying where its predecessor was, and goes on from the last state, which is before that.
      resumedAt ??= stage.done;
      return stage.done !== resumedAt;
    });
    const trainingSeconds = (Date.now() - trainingFrom) / 1_000;
    await handle.terminate('measured');
    return {
      seconds: Math.max(rolloutSeconds, trainingSeconds),
      rolloutSeconds,
      trainingSeconds,
    };
  } finally {
    await Promise.all(processes.map((one) => one.stop()));
    await installation.close();
  }
}

/** The server first, then everything else at once, as a supervisor would. */
async function startAll({ home, env }: Installation, beacon: string): Promise<OwnProcess[]> {
  const { temporal } = await serversUp({ stateDir: home, headless: true });
  if (temporal.state !== 'running') throw new Error('the Temporal server did not start');
  return Promise.all(
    PROCESSES.map(([name, ...args]) =>
      startOwnProcess({
        name,
        args,
        env: {
          ...env,
          TEMPORAL_ADDRESS: temporal.address,
          RATCHET_PROJECT: 'bench/support/beacon-project',
          RATCHET_BENCH_BEACON: beacon,
        },
        logFile: join(home, 'logs', `${name}.log`),
      }),
    ),
  );
}

async function killAll({ home }: Installation, processes: readonly OwnProcess[]): Promise<void> {
  const { temporal } = await serversStatus({ stateDir: home });
  const server = temporal.state === 'running' ? [temporal.pid] : [];
  for (const pid of [...server, ...processes.map((one) => one.pid)]) process.kill(pid, 'SIGKILL');
  await Promise.all(processes.map(({ ended }) => ended));
  await until('the server is gone', async () => {
    return (await serversStatus({ stateDir: home })).temporal.state === 'stopped';
  });
}

/** Neither the first moment of a stage nor its last. */
async function untilInside(
  client: Client,
  handle: WorkflowHandle,
  kind: RunStatus['phase']['kind'],
): Promise<void> {
  await until(`the run is inside ${kind}`, async () => {
    const { phase } = await handle.query<RunStatus, []>('status');
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    if (phase.kind !== kind) return false;
    const stage = await pendingStage(client, handle.workflowId);
    return stage !== null && stage.done > 0.2 * stage.of && stage.done < 0.7 * stage.of;
  });
}

async function until(what: string, isThere: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  while (!(await isThere())) {
    if (Date.now() > giveUpAt) throw new Error(`it never came to this: ${what}`);
    await delay(POLL_MS);
  }
}

async function lastAnswer(beacon: string): Promise<number> {
  return Number(await readFile(beacon, 'utf8'));
}

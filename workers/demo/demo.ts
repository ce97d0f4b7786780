import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { packageRoot } from '../../src/adapters/dist-path';
import { InvalidInputError, TransientError } from '../../src/errors';
import type { RunOutcome, RunStatus } from '../../src/loop/run-state';
import { RunConfig } from '../../src/schemas/run-config';
import type { trainingRun } from '../../workflows';
import type { Environment } from '../env';
import { serversDown, serversForeground } from '../servers/servers';
import { connectClient } from '../temporal-connection';
import { startOwnProcess } from './child-process';
import { learningCurveSvg } from './learning-curve-svg';
import { createProgressView } from './progress-view';
import { showServing } from './show-serving';
import { APPROVER, describe, watch } from './watch-run';

export interface DemoOptions {
  readonly yes: boolean;
  readonly json: boolean;
  readonly seed: number;
  readonly keep: boolean;
}

const SEEDS = [1, 2, 3];
const PICTURE = 'learning-curve.svg';
const PROJECT = 'examples/support-desk/project';
const NAMESPACE = 'default';

/** The demo's folder: a database, a store and logs of its own, made anew each time unless told otherwise. */
const demoHome = (env: Environment): string => join(env.home, 'demo');

/**
 * `npm start`: everything on one machine. Two processes of ours (workers, gateway) and Temporal's dev server; all that is
 * seen is a Temporal workflow, and this process only starts it, watches it and asks.
 *
 * @returns the exit code.
 */
export async function runDemo(env: Environment, options: DemoOptions): Promise<number> {
  if (!SEEDS.includes(options.seed)) {
    throw new InvalidInputError(
      `the demo's data is drawn with seeds ${SEEDS.join(', ')}: got ${options.seed}`,
    );
  }
  const home = demoHome(env);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new TransientError('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  const stops: (() => Promise<void>)[] = [];

  try {
    say('Ratchet: a support desk learns from its customers.\n');
    say(
      '  150 tools, 23,700 real queries (CLINC150, CC BY 3.0). The desk starts from 5 examples per tool;',
    );
    say('  customers only say "resolved" or "not resolved". Every step is a Temporal workflow.\n');
    if (!options.keep) {
      await serversDown({ stateDir: home }); // a demo that was killed may have left its server on this database
      await rm(home, { recursive: true, force: true });
    }
    const server = await serversForeground({ stateDir: home, signal: interrupted.signal });
    stops.push(() => server.stop());
    const startedAt = Date.now();
    const childEnv: NodeJS.ProcessEnv = {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_PROJECT: PROJECT,
      RATCHET_GATEWAY_PORT: '0',
      TEMPORAL_ADDRESS: server.address,
      TEMPORAL_NAMESPACE: NAMESPACE,
    };
    delete childEnv['RATCHET_STORE']; // the demo's store is in its own folder
    const [, gateway] = await Promise.all(
      (['worker', 'gateway'] as const).map(async (name) => {
        const own = await startOwnProcess({
          name,
          args: [name],
          env: childEnv,
          logFile: join(home, 'logs', `${name}.log`),
        });
        stops.push(() => own.stop());
        void own.ended.then(() =>
          interrupted.abort(new TransientError(`the ${name} ended; see ${join(home, 'logs')}`)),
        );
        return own;
      }),
    );
    process.env['TEMPORAL_ADDRESS'] = server.address;
    process.env['TEMPORAL_NAMESPACE'] = NAMESPACE; // whatever the user's profile says: this is our own server
    const client = await connectClient(home);
    stops.push(() => client.connection.close());

    const workflowId = seeded('support-desk', options.seed);
    const uiUrl = `${server.ui ?? ''}/namespaces/default/workflows/${workflowId}`;
    const handle = await client.workflow.start<typeof trainingRun>('trainingRun', {
      taskQueue: env.taskQueue,
      workflowId,
      args: [await demoConfig(options.seed)],
      workflowIdConflictPolicy: 'USE_EXISTING',
      staticSummary: 'The support desk learns from its customers',
    });
    say(`  workflow ${workflowId}   watch it at ${uiUrl}\n`);
    const view = createProgressView(process.stderr);
    const { outcome, status } = await watch(
      client,
      handle,
      view,
      options,
      interrupted.signal,
      (seen) => writePicture(seen),
    );
    const seconds = (Date.now() - startedAt) / 1000;
    await writePicture(status);
    view.say(`\n  ${describe(outcome)}`);
    view.say(`  learning curve: ${relative(process.cwd(), resolve(PICTURE))}`);
    if (outcome.kind === 'promoted' && gateway !== undefined) {
      await showServing(
        { projectModule: PROJECT, home, gatewayUrl: gateway.ready, policy: status.policy },
        (line) => view.say(line),
      );
    }
    if (options.json)
      process.stdout.write(`${JSON.stringify(resultLine(status, outcome, seconds))}\n`);
    return outcome.kind === 'promoted' ? 0 : 1;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    say(`\nstopped: ${String((interrupted.signal.reason as Error).message)}`);
    return 130;
  } finally {
    for (const stop of stops.toReversed()) await stop();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}

const seeded = (name: string, seed: number): string => (seed === 1 ? name : `${name}-${seed}`);

async function demoConfig(seed: number): Promise<RunConfig> {
  const path = join(packageRoot(), 'examples/support-desk/run.json');
  const file = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  const name = seeded('support-desk', seed);
  return RunConfig.parse({
    ...file,
    policy: name,
    dataset: name,
    seed,
    approval: { ...(file['approval'] as object), approvers: [APPROVER] },
  });
}

async function writePicture(status: RunStatus): Promise<void> {
  const rows = [
    { iteration: 0, live: null, heldOut: status.baseSelect },
    ...status.points.map((point) => ({
      iteration: point.iteration,
      live: point.reward,
      heldOut: point.select,
    })),
  ];
  await writeFile(PICTURE, learningCurveSvg(`${status.policy}: resolved queries`, rows));
}

/** The one line of JSON. Rates are shares of the report split's target tasks. */
function resultLine(
  status: RunStatus,
  outcome: RunOutcome,
  seconds: number,
): Record<string, unknown> {
  const target = status.report?.target ?? null;
  const guardrails = status.report?.guardrails ?? [];
  return {
    baseline: target?.baseline.value ?? null,
    promoted: outcome.kind === 'promoted' ? (target?.candidate.value ?? null) : null,
    interval: target === null ? null : [target.candidate.low, target.candidate.high],
    n: target?.candidate.n ?? 0,
    seconds: Math.round(seconds * 10) / 10,
    checkpoint: outcome.kind === 'promoted' ? outcome.champion.digest : null,
    guardrails: Object.fromEntries(
      guardrails.map((one) => [
        one.metric,
        { baseline: one.baseline.value, promoted: one.candidate.value, n: one.candidate.n },
      ]),
    ),
    heldOut: status.points.map((point) => point.select?.value ?? null),
  };
}

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { run as agent } from '../../examples/model-router/agent';
import { routerDataset } from '../../examples/model-router/dataset';
import { MODELS, PRICES } from '../../examples/model-router/models';
import { startUpstreamDouble } from '../../examples/model-router/upstream-double';
import { answerOfCustomer } from '../../examples/support-desk/customer';
import { parseReference } from '../../examples/support-desk/reference';
import { packageRoot } from '../../src/adapters/dist-path';
import { InvalidInputError, TransientError } from '../../src/errors';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import { percent } from '../../src/loop/markdown';
import type { RunStatus } from '../../src/loop/run-state';
import { RunConfig } from '../../src/schemas/run-config';
import type { trainingRun } from '../../workflows';
import { statusQuery } from '../../workflows/messages';
import { readEnvironment, type Environment } from '../env';
import { openKeyFile } from '../gateway';
import { serversDown, serversForeground } from '../servers/servers';
import { connectClient } from '../temporal-connection';
import { startOwnProcess } from './child-process';
import { serveCustomers } from './live-traffic';
import { createProgressView } from './progress-view';
import { APPROVER, describe, watch } from './watch-run';

export interface RouterDemoOptions {
  readonly yes: boolean;
  readonly json: boolean;
  readonly seed: number;
}

const SEEDS = [1, 2, 3];
const PROJECT = 'examples/model-router/project';
const AGENT = 'model-router';
const NAMESPACE = 'default';

/**
 * `ratchet router-demo`: two doubles of models, a router in front of them, customers who say whether they were helped. The same processes as in
 * `npm start`, and the same workflow, which learns from live feedback.
 *
 * @returns the exit code: 0 if the router was promoted.
 */
export async function runRouterDemo(
  env: Environment,
  { yes, json, seed }: RouterDemoOptions,
): Promise<number> {
  if (!SEEDS.includes(seed)) {
    throw new InvalidInputError(
      `the demo's data is drawn with seeds ${SEEDS.join(', ')}: got ${seed}`,
    );
  }
  const home = join(env.home, 'router-demo');
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new TransientError('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  const stops: (() => Promise<void>)[] = [];
  try {
    say('Ratchet: a router learns which of two models to ask.\n');
    say(
      '  The dear model is good at all of a support desk’s queries (CLINC150, CC BY 3.0), the cheap',
    );
    say(
      '  one, at a tenth of its price, at half of the domains. Customers say "resolved" or not.\n',
    );
    await serversDown({ stateDir: home });
    await rm(home, { recursive: true, force: true });
    await mkdir(home, { recursive: true });
    const startedAt = Date.now();
    const name = seed === 1 ? 'model-router' : `model-router-${seed}`;
    const dataset = await routerDataset({ seed });
    const double = await startUpstreamDouble(dataset);
    stops.push(() => double.close());
    const gatewayConfig = join(home, 'gateway.json');
    await writeFile(gatewayConfig, JSON.stringify(gatewayConfigFor(double.url, name), null, 2));

    const server = await serversForeground({ stateDir: home, signal: interrupted.signal });
    stops.push(() => server.stop());
    const childEnv: NodeJS.ProcessEnv = {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_PROJECT: PROJECT,
      RATCHET_GATEWAY_CONFIG: gatewayConfig,
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_SPOOL_SECONDS: '1',
      TEMPORAL_ADDRESS: server.address,
      TEMPORAL_NAMESPACE: NAMESPACE,
    };
    delete childEnv['RATCHET_STORE']; // the demo's store is in its own folder
    const [, gateway] = await Promise.all(
      (['worker', 'gateway'] as const).map(async (role) => {
        const logFile = join(home, 'logs', `${role}.log`);
        const own = await startOwnProcess({ name: role, args: [role], env: childEnv, logFile });
        stops.push(() => own.stop());
        void own.ended.then(() =>
          interrupted.abort(new TransientError(`the ${role} ended; see ${join(home, 'logs')}`)),
        );
        return own;
      }),
    );
    process.env['TEMPORAL_ADDRESS'] = server.address;
    process.env['TEMPORAL_NAMESPACE'] = NAMESPACE;
    const client = await connectClient(home);
    stops.push(() => client.connection.close());
    const handle = await client.workflow.start<typeof trainingRun>('trainingRun', {
      taskQueue: env.taskQueue,
      workflowId: name,
      args: [await demoConfig(name, seed)],
      staticSummary: 'A router learns from live feedback',
    });
    const uiUrl = `${server.ui ?? ''}/namespaces/default/workflows/${name}`;
    say(`  workflow ${name}   watch it at ${uiUrl}\n`);

    // The run makes the first champion, which takes both models evenly; then customers can come.
    for (;;) {
      interrupted.signal.throwIfAborted();
      if ((await handle.query(statusQuery)).baseSelect !== null) break;
      await wait(300);
    }
    const keys = openKeyFile(readEnvironment({ ...process.env, RATCHET_HOME: home }));
    const { key } = await createApiKey(keys, { role: 'agent', agent: AGENT });
    const live = dataset.tasks.filter(({ split }) => split === 'train');
    const every = Math.ceil(live.length / 10);
    await serveCustomers({
      ...{
        tasks: live,
        agent,
        gatewayUrl: gateway?.ready ?? '',
        apiKey: key,
        model: 'router/desk',
      },
      judge: ({ reference }, result) =>
        answerOfCustomer(parseReference(reference), result) === 'resolved',
      signal: interrupted.signal,
      onServed(served) {
        if (served % every === 0 || served === live.length) {
          say(`  ${served} of ${live.length} customers served and asked`);
        }
      },
    });
    const view = createProgressView(process.stderr);
    const { outcome, status } = await watch(
      ...([client, handle, view, { yes }, interrupted.signal, async () => undefined] as const),
    );
    view.say(`\n  ${describe(outcome)}`);
    const figures = figuresOf(status);
    if (figures !== null) {
      const { dear, router } = figures;
      const line = (who: string, one: Figures): void =>
        view.say(`  ${who}  resolved ${percent(one.resolution)}   cost ${percent(one.cost)}`);
      view.say(`\n  ${figures.queries} held-out queries; cost as a share of the dear model’s:`);
      line('always the dear model', dear);
      line('the router           ', router);
      view.say(
        `  kept ${percent(router.resolution / dear.resolution)} of the resolution at ${percent(router.cost / dear.cost)} of the cost`,
      );
    }
    const seconds = Math.round((Date.now() - startedAt) / 100) / 10;
    if (json) {
      process.stdout.write(
        `${JSON.stringify({ seed, outcome: outcome.kind, ...figures, seconds })}\n`,
      );
    }
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

function gatewayConfigFor(url: string, policy: string): object {
  return {
    upstreams: { doubles: { url, prices: PRICES } },
    models: Object.fromEntries(MODELS.map((model) => [model, [{ upstream: 'doubles' }]])),
    policies: { 'router/desk': policy },
  };
}

async function demoConfig(name: string, seed: number): Promise<RunConfig> {
  const path = join(packageRoot(), 'examples/model-router/run.json');
  const file = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  return RunConfig.parse({
    ...{ ...file, policy: name, dataset: name, seed },
    approval: { ...(file['approval'] as object), approvers: [APPROVER] },
  });
}

interface Figures {
  readonly resolution: number;
  /** As a share of what the dear model costs for every query. */
  readonly cost: number;
}

/** Of the report split: the champion that it began with takes the dear model always, see docs/routers.md. */
function figuresOf({
  report,
}: RunStatus): { queries: number; dear: Figures; router: Figures } | null {
  const [resolution, thrift] = ['resolution', 'thrift'].map((metric) =>
    report?.guardrails.find((one) => one.metric === metric),
  );
  if (resolution === undefined || thrift === undefined) return null;
  const side = (which: 'baseline' | 'candidate'): Figures => ({
    resolution: resolution[which].value,
    cost: 1 - thrift[which].value,
  });
  return { queries: resolution.candidate.n, dear: side('baseline'), router: side('candidate') };
}

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { routerDataset } from '../../examples/model-router/dataset';
import { startUpstreamDouble } from '../../examples/model-router/upstream-double';
import { packageRoot } from '../../src/adapters/dist-path';
import { InvalidInputError, TransientError } from '../../src/errors';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import type { RunConfigInput } from '../../src/schemas/run-config';
import { readEnvironment, type Environment } from '../env';
import { openKeyFile } from '../gateway';
import { openStore } from '../open-store';
import { serversDown, serversForeground } from '../servers/servers';
import { connectClient } from '../temporal-connection';
import { startOwnProcess } from './child-process';
import { gatewayConfigOf, learnRoute, renderFigures, ROUTED_AGENT } from './learn-route';
import { createProgressView } from './progress-view';
import { APPROVER } from './watch-run';

export interface RouterDemoOptions {
  readonly yes: boolean;
  readonly json: boolean;
  readonly seed: number;
}

const SEEDS = [1, 2, 3];
const PROJECT = 'examples/model-router/project';
const NAMESPACE = 'default';
const INTRODUCTION = `Ratchet: a router learns which of two models to ask.

  The dear model is good at all of a support desk’s queries (CLINC150, CC BY 3.0), the cheap
  one, at a tenth of its price, at half of the domains. Customers say "resolved" or not.
`;

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
      `the demo has the seeds ${SEEDS.join(', ')} of training and of who is asked: got ${seed}`,
    );
  }
  const home = join(env.home, 'router-demo');
  const view = createProgressView(process.stderr);
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new TransientError('interrupted'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  const stops: (() => Promise<void>)[] = [];
  try {
    view.say(INTRODUCTION);
    await serversDown({ stateDir: home });
    await rm(home, { recursive: true, force: true });
    await mkdir(home, { recursive: true });
    const startedAt = Date.now();
    const name = seed === 1 ? 'model-router' : `model-router-${seed}`;
    const dataset = await routerDataset({ seed });
    const double = await startUpstreamDouble(dataset);
    stops.push(() => double.close());
    const gatewayConfig = join(home, 'gateway.json');
    await writeFile(gatewayConfig, JSON.stringify(gatewayConfigOf(double.url, name), null, 2));

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
    const uiUrl = `${server.ui ?? ''}/namespaces/default/workflows/${name}`;
    view.say(`  workflow ${name}   watch it at ${uiUrl}\n`);

    const ownEnv = readEnvironment(childEnv);
    const { key } = await createApiKey(openKeyFile(ownEnv), { role: 'agent', agent: ROUTED_AGENT });
    const { outcome, offPolicy, heldOut } = await learnRoute({
      ...{ client, taskQueue: ownEnv.taskQueue, name, dataset, yes, view },
      config: await demoConfig(name, seed),
      endpoint: { gatewayUrl: gateway?.ready ?? '', apiKey: key },
      store: await openStore(ownEnv),
      signal: interrupted.signal,
    });
    if (heldOut !== null) for (const line of renderFigures(heldOut)) view.say(line);
    const seconds = Math.round((Date.now() - startedAt) / 100) / 10;
    if (json) {
      const line = JSON.stringify({ seed, outcome: outcome.kind, heldOut, offPolicy, seconds });
      process.stdout.write(`${line}\n`);
    }
    return outcome.kind === 'promoted' ? 0 : 1;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    view.say(`\nstopped: ${String((interrupted.signal.reason as Error).message)}`);
    return 130;
  } finally {
    for (const stop of stops.toReversed()) await stop();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}

async function demoConfig(name: string, seed: number): Promise<RunConfigInput> {
  const path = join(packageRoot(), 'examples/model-router/run.json');
  const file = JSON.parse(await readFile(path, 'utf8')) as RunConfigInput;
  return {
    ...{ ...file, policy: name, dataset: name, seed },
    approval: { ...file.approval, approvers: [APPROVER] },
  };
}

import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { startUpstreamDouble } from '../../examples/model-router/upstream-double';
import { createLocalKeyFile } from '../../src/adapters/local-key-file/local-key-file';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import type { RunConfigInput } from '../../src/schemas/run-config';
import type { DatasetSource } from '../../src/schemas/task';
import { startOwnProcess } from '../../workers/demo/child-process';
import { gatewayConfigOf, learnRoute, ROUTED_AGENT } from '../../workers/demo/learn-route';
import { APPROVER } from '../../workers/demo/watch-run';
import { testAddress } from '../helpers/temporal-server';
import { temporaryHome } from '../helpers/worker-process';

// The demo's own way through a real gateway, a real worker and the real workflow, over two of the ten domains.

jest.setTimeout(300_000);

const NAME = 'small-router';
const PROJECT = join(__dirname, '../helpers/projects/small-router.cjs');

test('a router learns from what live callers said, is promoted, and serves them as well for less', async () => {
  const temporary = await temporaryHome();
  const stops: (() => Promise<void>)[] = [() => temporary.remove()];
  try {
    const { home } = temporary;
    const { project } = (await import(PROJECT)) as {
      readonly project: { readonly datasets: Record<string, () => Promise<DatasetSource>> };
    };
    const dataset = await (project.datasets[NAME] as () => Promise<DatasetSource>)();
    const double = await startUpstreamDouble(dataset);
    stops.push(() => double.close());
    const gatewayConfig = join(home, 'gateway.json');
    await writeFile(gatewayConfig, JSON.stringify(gatewayConfigOf(double.url, NAME)));
    const taskQueue = `test-${randomUUID()}`;
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_PROJECT: PROJECT,
      RATCHET_GATEWAY_CONFIG: gatewayConfig,
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_SPOOL_SECONDS: '1',
      RATCHET_TASK_QUEUE: taskQueue,
      TEMPORAL_ADDRESS: testAddress(),
    };
    const [, gateway] = await Promise.all(
      ['worker', 'gateway'].map(async (name) => {
        const logFile = join(home, 'logs', `${name}.log`);
        const own = await startOwnProcess({ name, args: [name], env, logFile });
        stops.push(() => own.stop());
        return own;
      }),
    );
    const keys = createLocalKeyFile(join(home, 'keys', 'api-keys.json'));
    const { key } = await createApiKey(keys, { role: 'agent', agent: ROUTED_AGENT });
    const connection = await Connection.connect({ address: testAddress() });
    stops.push(() => connection.close());

    const { outcome, offPolicy, heldOut } = await learnRoute({
      ...{ client: new Client({ connection }), taskQueue, dataset, yes: true },
      name: `${NAME}-${randomUUID()}`,
      config: await configOf(dataset),
      endpoint: { gatewayUrl: gateway?.ready ?? '', apiKey: key },
      store: createLocalObjectStore({ root: join(home, 'store') }),
      view: { show: () => undefined, say: () => undefined },
      signal: new AbortController().signal,
    });
    expect(outcome).toMatchObject({ kind: 'promoted' }); // the difference shows why not
    expect(offPolicy?.refusal).toBeNull();
    expect(offPolicy?.lower).toBeGreaterThan(0);
    const { dear, cheap, router } = heldOut as NonNullable<typeof heldOut>;
    expect(dear.costPerCall).toBe(10 * cheap.costPerCall);
    expect(cheap.resolution).toBeLessThan(0.8 * dear.resolution);
    expect(router.resolution).toBeGreaterThan(0.98 * dear.resolution);
    expect(router.costPerCall).toBeLessThan(0.62 * dear.costPerCall);
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
});

async function configOf({ tasks }: DatasetSource): Promise<RunConfigInput> {
  const path = join(__dirname, '../../examples/model-router/run.json');
  const file = JSON.parse(await readFile(path, 'utf8')) as RunConfigInput;
  // Not all: one call that was not recorded, or not judged, would keep the run waiting.
  const customers = tasks.filter(({ split }) => split === 'train').length;
  return {
    ...{ ...file, policy: NAME, dataset: NAME, report: false },
    // A fifth of the customers: four times the passes over them. 285 tasks for the gate cannot show a fall of less than 2 points.
    train: { algorithm: 'value', epochs: 20, finalLearningRate: 0.1 },
    gate: {
      target: 'value',
      guardrails: [
        { metric: 'resolution', margin: 0.05 },
        { metric: 'thrift', margin: 0 },
      ],
    },
    live: {
      ...(file.live as NonNullable<typeof file.live>),
      decisions: Math.floor(0.95 * customers),
      settle: '2s',
    },
    approval: { ...file.approval, approvers: [APPROVER] },
  };
}

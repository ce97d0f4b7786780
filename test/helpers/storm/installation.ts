import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { distPath } from '../../../src/adapters/dist-path';
import { createLocalKeyFile } from '../../../src/adapters/local-key-file/local-key-file';
import { createApiKey } from '../../../src/gateway/keys/api-keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { devServerArguments } from '../../../workers/servers/dev-server-process';
import { anyFreePort } from '../../../workers/servers/ports';
import { SEARCH_ATTRIBUTES } from '../../../workers/servers/search-attributes';
import { testBinary } from '../temporal-server';
import { supervise, type Supervised, type Victim } from './supervised';

/** Where a storm keeps its objects: how our processes are told of it, and how the test itself reads it. */
export interface StormStore {
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly store: ObjectStore;
  /** The server behind it, if it has one that can be killed. */
  readonly server: Victim | null;
  close(): Promise<void>;
}

/** Everything that an installation consists of, each part in a process of its own that is started again when it dies. */
export interface StormInstallation {
  readonly client: Client;
  readonly store: StormStore;
  readonly victims: readonly Victim[];
  readonly gateway: { readonly baseUrl: string; readonly apiKey: string; readonly agent: string };
  /** Stops the gateway alone, gracefully: what it still holds is in the store then. */
  stopGateway(): Promise<void>;
  close(): Promise<void>;
}

const AGENT = 'storm-client';

export async function openStormInstallation(
  openStore: (home: string) => Promise<StormStore>,
): Promise<StormInstallation> {
  const home = await mkdtemp(join(tmpdir(), `ratchet-storm-${process.pid}-`));
  await mkdir(join(home, 'logs'), { recursive: true });
  const store = await openStore(home);
  const [port, gatewayPort] = [await anyFreePort(), await anyFreePort()];
  const logFile = (name: string): string => join(home, 'logs', `${name}.log`);

  const temporal = supervise({
    name: 'temporal',
    program: await testBinary(),
    args: devServerArguments({
      database: join(home, 'temporal.db'),
      port,
      uiPort: undefined,
      namespace: 'default',
      searchAttributes: SEARCH_ATTRIBUTES,
    }),
    env: process.env,
    logFile: logFile('temporal'),
    readyWhen: { port },
  });
  await temporal.ready();

  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...store.env,
    RATCHET_HOME: home,
    RATCHET_PROJECT: join(__dirname, '../projects/storm-desk.cjs'),
    RATCHET_GATEWAY_PORT: String(gatewayPort),
    RATCHET_END_WITH_STDIN: '1',
    RATCHET_STATE_EVERY: '200',
    SMALL_DESK_AGENT_DELAY_MS: '5',
    TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
    TEMPORAL_NAMESPACE: 'default',
  };
  const own = (name: string, ...args: string[]): Supervised =>
    supervise({
      name,
      program: process.execPath,
      args: [distPath('workers/cli.js'), ...args],
      env,
      logFile: logFile(name),
      readyWhen: { line: 'ready: ' },
    });
  const keys = createLocalKeyFile(join(home, 'keys', 'api-keys.json'));
  const { key } = await createApiKey(keys, { role: 'agent', agent: AGENT });
  const gateway = own('gateway', 'gateway');
  const workers = ['control', 'rollout', 'gpu'].map((role) => own(role, 'worker', '--roles', role));
  await Promise.all([gateway, ...workers].map((one) => one.ready()));
  const client = new Client({
    connection: await Connection.connect({ address: `127.0.0.1:${port}` }),
  });

  let isGatewayStopped = false;
  const stopGateway = async (): Promise<void> => {
    if (isGatewayStopped) return;
    isGatewayStopped = true;
    await gateway.stop();
  };
  return {
    client,
    store,
    victims: [temporal, gateway, ...workers, ...(store.server === null ? [] : [store.server])],
    gateway: { baseUrl: `http://127.0.0.1:${gatewayPort}/v1`, apiKey: key, agent: AGENT },
    stopGateway,
    async close() {
      await client.connection.close();
      await stopGateway();
      await Promise.all(workers.map((one) => one.stop()));
      await temporal.stop();
      await store.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  startUpstreamDouble,
  type UpstreamDouble,
} from '../../../bench/support/upstream-double/start';
import { distPath } from '../../../src/adapters/dist-path';
import { createLocalKeyFile } from '../../../src/adapters/local-key-file/local-key-file';
import { createLocalObjectStore } from '../../../src/adapters/local-store';
import { createApiKey } from '../../../src/gateway/keys/api-keys';
import {
  readLiveDecisions,
  type LiveDecision,
} from '../../../src/trajectories/read-live-decisions';
import { temporaryHome } from '../worker-process';

/** All that a client is given. */
export interface ClientAccess {
  /** Ends with `/v1`. */
  readonly baseUrl: string;
  readonly apiKey: string;
}

/** A gateway as users start it, in a process of its own, in front of the strict double. */
export interface ClientGateway {
  readonly double: UpstreamDouble;
  /** A key of an agent of this name. */
  access(agent: string): Promise<ClientAccess>;
  /** What is recorded of the agent once it is as many decisions as expected, or what there is after ten seconds. */
  recorded(agent: string, expected: number): Promise<LiveDecision[]>;
  close(): Promise<void>;
}

/** A gateway looks for new keys ten times a second. */
const KEY_NOTICED_MS = 200;
const PATIENCE_MS = 10_000;
/** The double is not asked again within it, so that its 429 reaches the client. */
const RETRY_AFTER_SECONDS = 60;

const MODELS = ['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-5', 'text-embedding-3-small'];

function config(double: UpstreamDouble): object {
  const target = (model: string): object[] => [{ upstream: 'double', model }];
  return {
    upstreams: {
      double: {
        url: double.url,
        key: { env: 'DOUBLE_KEY' },
        protocols: ['chat', 'responses', 'messages', 'embeddings'],
      },
    },
    models: {
      ...Object.fromEntries(MODELS.map((model) => [model, target(model)])),
      limited: target('trouble/429'),
      'claude-limited': target('trouble/429'),
    },
  };
}

/**
 * @param configOf the gateway's configuration.
 * @param keyNames the environment variables that hold the double's key, as it says.
 */
export async function startClientGateway(
  configOf = config,
  keyNames = ['DOUBLE_KEY'],
): Promise<ClientGateway> {
  const double = await startUpstreamDouble({ retryAfterSeconds: RETRY_AFTER_SECONDS });
  const folder = await temporaryHome();
  const { home } = folder;
  const configFile = join(home, 'gateway.json');
  await writeFile(configFile, JSON.stringify(configOf(double)));
  const child = spawn(process.execPath, [distPath('workers/cli.js'), 'gateway'], {
    env: {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_GATEWAY_CONFIG: configFile,
      RATCHET_SPOOL_SECONDS: '1',
      RATCHET_END_WITH_STDIN: '1',
      ...Object.fromEntries(keyNames.map((name) => [name, 'double-key'])),
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const close = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
    await Promise.all([double.close(), folder.remove()]);
  };
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-4_000)));
  let url: string;
  try {
    url = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.startsWith('ready: ')) resolve(line.slice('ready: '.length));
      });
      void ended.then(() => reject(new Error(`the gateway ended before it was ready:\n${stderr}`)));
    });
  } catch (error) {
    await close();
    throw error;
  }

  const startedAt = Date.now();
  const store = createLocalObjectStore({ root: join(home, 'store') });
  const keys = createLocalKeyFile(join(home, 'keys', 'api-keys.json'));
  const read = async (agent: string): Promise<LiveDecision[]> => {
    const toMs = Date.now() + 60_000;
    const decisions: LiveDecision[] = [];
    const query = { agent, fromMs: startedAt, toMs, asOfMs: toMs };
    for await (const decision of readLiveDecisions(store, query)) decisions.push(decision);
    return decisions;
  };
  return {
    ...{ double, close },
    async access(agent) {
      const { key: apiKey } = await createApiKey(keys, { role: 'agent', agent });
      await sleep(KEY_NOTICED_MS);
      return { baseUrl: `${url}/v1`, apiKey };
    },
    async recorded(agent, expected) {
      for (let waitedMs = 0; ; waitedMs += 100) {
        const decisions = await read(agent);
        if (decisions.length >= expected || waitedMs > PATIENCE_MS) return decisions;
        await sleep(100);
      }
    },
  };
}

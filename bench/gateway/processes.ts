import { fork } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalKeyFile } from '../../src/adapters/local-key-file/local-key-file';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import { startOwnProcess } from '../../workers/demo/child-process';
import { processUsage, type ProcessUsage } from '../support/process-usage';
import type { CallKind } from './calls';
import { CALLS } from './calls';

/** The upstream double, in a process of its own. */
export interface Double {
  readonly port: number;
  readonly pid: number;
  stop(): void;
}

export async function startDouble(): Promise<Double> {
  const child = fork(join(__dirname, 'double.js'));
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { port: number }).port));
    child.once('exit', (code) => reject(new Error(`the double ended with exit code ${code}`)));
  });
  return { port, pid: child.pid ?? 0, stop: () => child.kill() };
}

/** The gateway as a user starts it, with a folder of its own. */
export interface GatewayProcess {
  readonly port: number;
  /** For an agent. */
  readonly key: string;
  /** All its processes together. */
  usage(): Promise<ProcessUsage>;
  /** The sum of a metric over its labels. */
  metric(name: string): Promise<number>;
  stop(): Promise<void>;
}

export async function startGateway(double: Double): Promise<GatewayProcess> {
  const home = await mkdtemp(join(tmpdir(), 'ratchet-bench-gateway-'));
  const kinds = Object.keys(CALLS) as CallKind[];
  const config = {
    upstreams: Object.fromEntries(
      kinds.map((kind) => [
        kind,
        {
          url: `http://127.0.0.1:${double.port}/${kind}`,
          tokenIds: CALLS[kind].tokenIds,
          protocols: ['chat'],
        },
      ]),
    ),
    models: Object.fromEntries(kinds.map((kind) => [kind, [{ upstream: kind }]])),
  };
  await writeFile(join(home, 'gateway.json'), JSON.stringify(config));
  const keys = createLocalKeyFile(join(home, 'keys', 'api-keys.json'));
  const { key } = await createApiKey(keys, { role: 'agent', agent: 'bench' });
  const gateway = await startOwnProcess({
    name: 'the gateway',
    args: ['gateway'],
    env: {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_GATEWAY_CONFIG: join(home, 'gateway.json'),
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_SPOOL_SECONDS: '1',
    },
    logFile: join(home, 'gateway.log'),
  });
  const metrics = async (): Promise<string> => (await fetch(`${gateway.ready}/metrics`)).text();
  return {
    port: Number(new URL(gateway.ready).port),
    key,
    async usage() {
      const usages = await Promise.all((await processTree(gateway.pid)).map(processUsage));
      return {
        rssMb: usages.reduce((sum, { rssMb }) => sum + rssMb, 0),
        cpuSeconds: usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      };
    },
    async metric(name) {
      const samples = (await metrics()).matchAll(
        new RegExp(`^ratchet_${name}(?:\\{.*\\})? (\\d+)$`, 'gm'),
      );
      return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
    },
    async stop() {
      await gateway.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** A process and those that it started; only itself where there is no /proc. */
async function processTree(pid: number): Promise<number[]> {
  if (process.platform !== 'linux') return [pid];
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  const inner = children.trim().split(' ').filter(Boolean).map(Number);
  return [pid, ...(await Promise.all(inner.map(processTree))).flat()];
}

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { createS3Bucket } from '../../src/adapters/s3-store';
import { packageRoot } from '../../src/adapters/dist-path';
import type { RunOutcome, RunStatus } from '../../src/loop/run-state';
import { durationMs } from '../../src/schemas/duration';
import { anyFreePort } from '../../workers/servers/ports';
import {
  readDockerfile,
  resolveCompose,
  startOrder,
  type ComposeFile,
  type Service,
} from '../helpers/compose-file';
import { startTestMinio, type TestMinio } from '../helpers/minio-server';
import { testAddress } from '../helpers/temporal-server';
import { temporaryHome } from '../helpers/worker-process';

// docker/compose.yaml without Docker: the same processes with the same commands, environment, order and health checks.
// What Docker gives each container of its own, a host name, ports and folders, is put onto this machine.

const run = promisify(execFile);
const HEALTHY_WITHIN_MS = 90_000;
const taskQueue = `compose-${randomUUID()}`;
const stages = readDockerfile();
const CONFIG = {
  policy: 'small-desk',
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 1,
  tasksPerIteration: 300,
  select: { maxTasks: 20 },
  rollouts: { shards: 2 },
  reward: { weights: { customer: 1 } },
  gate: { target: 'resolution', guardrails: [{ metric: 'escalation', margin: 0.5 }] },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
  watch: '10m',
};

interface Started {
  readonly service: string;
  readonly child: ChildProcess;
  readonly environment: NodeJS.ProcessEnv;
  readonly graceMs: number;
  log(): string;
}

let client: Client;
let minio: TestMinio;
let home: Awaited<ReturnType<typeof temporaryHome>>;
let compose: ComposeFile;
let gatewayUrl: string;
const started: Started[] = [];

beforeAll(async () => {
  client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
  minio = await startTestMinio();
  home = await temporaryHome();
  // What would be in docker/.env.
  compose = resolveCompose({
    AWS_ACCESS_KEY_ID: minio.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: minio.credentials.secretAccessKey,
    RATCHET_PROJECT: join(__dirname, '../helpers/projects/small-desk.cjs'),
    RATCHET_TASK_QUEUE: taskQueue,
  });
});
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await minio.stop();
  await client.connection.close();
  await home.remove();
});

/** The environment of a container, with what was its own mapped to this machine. */
async function environmentOf(
  name: string,
  service: Service,
  replica: number,
): Promise<NodeJS.ProcessEnv> {
  const ofImage = stages.get(service.build?.target ?? '')?.env ?? {};
  const environment: Record<string, string> = { ...ofImage, ...service.environment };
  const hosts = { 'temporal:7233': testAddress(), 'http://minio:9000': minio.endpoint };
  for (const [variable, value] of Object.entries(environment)) {
    environment[variable] = hosts[value as keyof typeof hosts] ?? value;
  }
  for (const { source, target } of service.configs ?? []) {
    const { file = '' } = compose.configs[source] ?? {};
    for (const [variable, value] of Object.entries(environment)) {
      if (value === target) environment[variable] = resolve(__dirname, '../../docker', file);
    }
  }
  const place = join(home.home, name);
  environment['RATCHET_HOME'] = place; // a volume, or a folder of the container
  if ('RATCHET_HEALTH_FILE' in environment) {
    environment['RATCHET_HEALTH_FILE'] = join(home.home, `${name}-${replica}.json`);
  }
  if ('RATCHET_METRICS' in environment)
    environment['RATCHET_METRICS'] = `127.0.0.1:${await anyFreePort()}`;
  if ('RATCHET_GATEWAY_PORT' in environment) {
    const { port } = new URL(gatewayUrl);
    Object.assign(environment, { RATCHET_GATEWAY_HOST: '127.0.0.1', RATCHET_GATEWAY_PORT: port });
  }
  const { PATH } = process.env;
  return { PATH, ...environment }; // nothing else of ours: a container has no more
}

function start(name: string, service: Service, environment: NodeJS.ProcessEnv): Started {
  const [program = '', ...entry] = stages.get(service.build?.target ?? '')?.entrypoint ?? [];
  const child = spawn(program, [...entry, ...(service.command ?? [])], {
    cwd: packageRoot(),
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return {
    ...{ service: name, child, environment },
    graceMs: durationMs(service.stop_grace_period ?? '10s'),
    log: () => stderr,
  };
}

/** Runs the service's own health check until it passes, as Docker does. */
async function untilHealthy({ healthcheck }: Service, process: Started): Promise<void> {
  const [kind, program = '', ...args] = healthcheck?.test ?? [];
  expect(kind).toBe('CMD');
  const mapped = args.map((arg) => arg.replace('http://127.0.0.1:8787', gatewayUrl));
  const giveUpAt = Date.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    try {
      await run(program, mapped, { cwd: packageRoot(), env: process.environment });
      return;
    } catch (error) {
      if (process.child.exitCode !== null || Date.now() > giveUpAt) {
        throw new Error(`${process.service} is not healthy: ${String(error)}\n${process.log()}`);
      }
      await delay(500);
    }
  }
}

/** What stands in for an image that is not ours. */
const others: Readonly<Record<string, () => Promise<void>>> = {
  temporal: async () => undefined, // the development server that this test run has provided
  minio: async () => undefined, // started above: its keys are in the environment of everybody
  bucket: () =>
    createS3Bucket({
      ...{ bucket: 'ratchet', region: 'us-east-1' },
      ...{ endpoint: minio.endpoint, credentials: minio.credentials },
    }).then(() => undefined),
};

test('every service starts in its order and becomes healthy by its own check', async () => {
  gatewayUrl = `http://127.0.0.1:${await anyFreePort()}`;
  for (const name of startOrder(compose)) {
    const service = compose.services[name] as Service;
    const other = others[name];
    if (other !== undefined) {
      await other();
      continue;
    }
    const replicas = Number(service.deploy?.replicas ?? 1);
    const own: Started[] = [];
    for (let replica = 0; replica < replicas; replica += 1) {
      own.push(start(name, service, await environmentOf(name, service, replica)));
    }
    started.push(...own);
    await Promise.all(own.map((one) => untilHealthy(service, one)));
  }
  expect(started.map(({ service }) => service)).toEqual([
    'gateway',
    'control',
    'control',
    'rollout',
    'rollout',
    'gpu',
  ]);
}, 300_000);

test('a training runs to its end, and an agent is answered by what it made', async () => {
  const handle = await client.workflow.start('trainingRun', {
    ...{ taskQueue, workflowId: taskQueue, args: [CONFIG] },
  });
  let status: RunStatus;
  do {
    await delay(300);
    status = await handle.query<RunStatus, []>('status');
    if (status.phase.kind === 'needs-attention') throw new Error(status.phase.reason);
  } while (status.phase.kind !== 'awaiting-approval' && status.phase.kind !== 'done');
  if (status.phase.kind === 'done') throw new Error(JSON.stringify(status.phase));
  const { candidate } = status.phase.request;
  await handle.executeUpdate('review', {
    args: [{ candidate, by: 'ops-lead', decision: 'approve' }],
  });
  expect((await handle.result()) as RunOutcome).toMatchObject({ kind: 'promoted' });
  await client.workflow.getHandle('promotion.small-desk').terminate(); // it would watch for 10 minutes

  const gateway = started.find(({ service }) => service === 'gateway');
  const [program = '', ...entry] = stages.get('gateway')?.entrypoint ?? [];
  const { stdout: key } = await run(
    program,
    [...entry, 'keys', 'create', '--role', 'agent', '--agent', 'desk'],
    { cwd: packageRoot(), env: gateway?.environment },
  );
  const response = await fetch(`${gatewayUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.trim()}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: `ratchet/small-desk@${candidate}`,
      messages: [{ role: 'user', content: 'what is my balance' }],
      tools: [...['balance', 'weather', 'joke', 'escalate_to_human']].map((name) => ({
        type: 'function',
        function: { name },
      })),
    }),
  });
  expect([response.status, await response.text()]).toEqual([
    200,
    expect.stringContaining('tool_calls'),
  ]);
}, 180_000);

test('every process says what it does as JSON, and holds no key', async () => {
  for (const one of started) {
    const text = one.log();
    for (const line of text.split('\n').filter(Boolean)) {
      expect(() => JSON.parse(line) as unknown).not.toThrow();
    }
    expect(text).not.toContain(one.environment['AWS_SECRET_ACCESS_KEY']);
  }
});

test('every process ends by itself, well and in time, in the reverse order', async () => {
  for (const one of started.toReversed()) {
    one.child.kill('SIGTERM');
    const inTime = delay(one.graceMs, ['not at all'], { ref: false });
    const [exitCode] = (await Promise.race([once(one.child, 'exit'), inTime])) as [
      number | string | null,
    ];
    if (exitCode !== 0) throw new Error(`${one.service} ended with ${exitCode}:\n${one.log()}`);
  }
}, 120_000);

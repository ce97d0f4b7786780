import { execFileSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalKeyFile } from '../../src/adapters/local-key-file/local-key-file';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import { startOwnProcess, type OwnProcess } from '../../workers/demo/child-process';

// `ratchet gateway` with several processes on one port, as a user starts it.

let home: string;
let upstream: Server;
let key: string;
/** Answers of the upstream that wait. */
let held: (() => void)[];
let isHolding: boolean;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-gateway-'));
  [held, isHolding] = [[], false];
  upstream = createServer((request, response) => {
    request.resume().once('end', () => {
      const message = { role: 'assistant', content: 'hello' };
      const choices = [{ index: 0, message, finish_reason: 'stop' }];
      const answer = (): void =>
        void response
          .setHeader('content-type', 'application/json')
          .end(JSON.stringify({ id: 'a', object: 'chat.completion', choices }));
      if (isHolding) held.push(answer);
      else answer();
    });
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  await writeFile(
    join(home, 'gateway.json'),
    JSON.stringify({
      upstreams: { up: { url: `http://127.0.0.1:${port}` } },
      models: { m: [{ upstream: 'up' }] },
    }),
  );
  const keys = createLocalKeyFile(join(home, 'keys', 'api-keys.json'));
  key = (await createApiKey(keys, { role: 'agent', agent: 'desk' })).key;
});
afterEach(async () => {
  upstream.closeAllConnections();
  upstream.close();
  await rm(home, { recursive: true, force: true });
});

function start(env: NodeJS.ProcessEnv = {}): Promise<OwnProcess> {
  return startOwnProcess({
    ...{ name: 'the gateway', args: ['gateway'], logFile: join(home, 'gateway.log') },
    env: {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_GATEWAY_CONFIG: join(home, 'gateway.json'),
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_GATEWAY_PROCESSES: '2',
      RATCHET_SPOOL_SECONDS: '1',
      ...env,
    },
  });
}

/** Over a connection of its own, so that any of the processes may get it. */
function ask({ ready: url }: OwnProcess): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, connection: 'close' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }),
  });
}

/** NaN if it is not said, and if nobody answers: a connection that was just handed to a process that is killed is answered by none. */
async function metric({ ready: url }: OwnProcess, name: string): Promise<number> {
  try {
    const response = await fetch(`${url}/metrics`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(5_000),
    });
    const found = new RegExp(`^ratchet_${name}(?:{.*})? (\\d+)$`, 'm').exec(await response.text());
    return Number(found?.[1] ?? NaN);
  } catch {
    return NaN;
  }
}

async function readiness({ ready: url }: OwnProcess): Promise<unknown> {
  return (await fetch(`${url}/readyz`, { headers: { connection: 'close' } })).json();
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await what()) && Date.now() < end;) await sleep(50);
}

const childrenOf = ({ pid }: OwnProcess): number[] =>
  execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .split('\n')
    .map(Number)
    .filter((child) => child > 0 && isGateway(child));
const isGateway = (pid: number): boolean => {
  try {
    return execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).includes(
      'cli.js gateway',
    );
  } catch {
    return false; // ps itself, which has ended
  }
};

test('several processes serve one port; whichever is asked answers for all; one that is killed is started again, and nothing is lost', async () => {
  const gateway = await start();
  try {
    const calls = 12;
    for (let i = 0; i < calls; i++) expect((await ask(gateway)).status).toBe(200);
    // Both had some of them: each has a spool folder of its own.
    expect((await readdir(join(home, 'spool'))).length).toBe(2);
    expect(await readiness(gateway)).toMatchObject({ status: 'ready', processes: '2 of 2' });
    expect(await metric(gateway, 'gateway_requests_total')).toBe(calls + 1);

    const [killed = 0] = childrenOf(gateway);
    process.kill(killed, 'SIGKILL');
    await until(async () => (await metric(gateway, 'gateway_process_restarts_total')) === 1);
    await until(async () => (await metric(gateway, 'gateway_processes')) === 2);
    expect(childrenOf(gateway)).not.toContain(killed);
    expect(await metric(gateway, 'gateway_processes')).toBe(2);
    for (let i = 0; i < calls; i++) expect((await ask(gateway)).status).toBe(200);
    // The other one, or the new one, drains what the dead one left.
    await until(async () => (await metric(gateway, 'drain_decisions_total')) === 2 * calls);
    expect(await metric(gateway, 'drain_decisions_total')).toBe(2 * calls);
    expect(await metric(gateway, 'gateway_requests_total')).toBe(2 * calls + 1);
  } finally {
    await gateway.stop();
  }
  expect(await readdir(join(home, 'spool'))).toEqual([]);
}, 200_000);

test('a gateway that is told to stop finishes the calls under way', async () => {
  const gateway = await start();
  isHolding = true;
  const answers = Promise.all([ask(gateway), ask(gateway), ask(gateway)]);
  await until(async () => held.length === 3);
  const stopped = gateway.stop();
  await sleep(500);
  for (const answer of held) answer();
  expect((await answers).map(({ status }) => status)).toEqual([200, 200, 200]);
  await stopped;
}, 60_000);

test.each(['1', '2'])(
  '%s processes that are set up wrongly end with one message',
  async (n) => {
    const config = join(home, 'missing.json');
    const started = start({ RATCHET_GATEWAY_PROCESSES: n, RATCHET_GATEWAY_CONFIG: config });
    const message = await started.then(
      () => '',
      (error: Error) => error.message,
    );
    expect(message).toMatch(/ended with exit code 1/);
    expect(message.match(/configuration cannot be read/g)).toHaveLength(1);
  },
  60_000,
);

import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Readable } from 'node:stream';
import { distPath } from '../../src/adapters/dist-path';

// `ratchet erase` and `ratchet privacy` as processes, beside a gateway that runs and after one that was killed.

const ANN = 'ann@example.org';
const SAID = 'the green door in Via Margutta';

let home: string;
let upstream: Server;
let env: NodeJS.ProcessEnv;
let key: string;
let gateway: ChildProcessByStdio<null, Readable, null> | undefined;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-erase-'));
  const message = { role: 'assistant', content: 'noted' };
  const choices = [{ index: 0, message, finish_reason: 'stop' }];
  const answer = { id: 'chatcmpl-up', object: 'chat.completion', created: 1, model: 'm', choices };
  upstream = createServer((request, response) => {
    request.resume().on('end', () => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const config = {
    upstreams: { up: { url: `http://127.0.0.1:${port}/v1` } },
    models: { m: [{ upstream: 'up' }] },
    privacy: { retention: { live: '30d' } },
  };
  await writeFile(join(home, 'gateway.json'), JSON.stringify(config));
  env = {
    ...process.env,
    ...{ RATCHET_HOME: home, RATCHET_GATEWAY_PORT: '0', RATCHET_SPOOL_SECONDS: '3' },
    RATCHET_GATEWAY_CONFIG: join(home, 'gateway.json'),
  };
  key = (await ratchet('keys', 'create', '--role', 'agent', '--agent', 'desk')).trim();
});
afterEach(async () => {
  gateway?.kill('SIGKILL');
  upstream.close();
  await rm(home, { recursive: true, force: true });
});

async function ratchet(...args: string[]): Promise<string> {
  const command = [distPath('workers/cli.js'), ...args];
  return (await promisify(execFile)(process.execPath, command, { env })).stdout;
}

async function startGateway(): Promise<string> {
  gateway = spawn(process.execPath, [distPath('workers/cli.js'), 'gateway'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [ready] = (await once(gateway.stdout, 'data')) as [Buffer];
  return /http:\S+/.exec(ready.toString())?.[0] ?? '';
}

async function post(url: string, body: object): Promise<number> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status;
}

const ask = (url: string, user: string, content: string): Promise<number> =>
  post(`${url}/v1/chat/completions`, { model: 'm', user, messages: [{ role: 'user', content }] });

async function allBytes(): Promise<string> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const read = files.map(
    ({ parentPath, name }) => readFile(join(parentPath, name), 'latin1').catch(() => ''), // drained or replaced meanwhile
  );
  return (await Promise.all(read)).join('\n');
}

test('a user is erased beside a gateway that runs, and what comes later is not kept', async () => {
  const url = await startGateway();
  expect(await ask(url, ANN, SAID)).toBe(200);
  expect(await ask(url, 'ben', 'where is my parcel?')).toBe(200);
  expect(await allBytes()).toContain(SAID);
  const erased = JSON.parse(await ratchet('erase', '--user', ANN, '--json')) as object;
  expect(erased).toMatchObject({ spool: { waiting: 0 }, unreadable: {} });
  const left = await allBytes();
  expect(left).not.toContain(SAID);
  expect(left).toContain('where is my parcel?');
  const feedback = { session: ANN, value: true, comment: SAID };
  expect(await post(`${url}/v1/feedback`, feedback)).toBe(410);
  expect(await allBytes()).not.toContain(SAID);
  expect(await ratchet('store', 'verify', '--deep')).toContain('The store is whole.');
}, 60_000);

test('a session is erased from what a killed gateway left in its spool', async () => {
  const url = await startGateway();
  expect(await ask(url, 'carl', SAID)).toBe(200);
  expect(await ask(url, 'ben', 'where is my parcel? ask ann@example.org')).toBe(200);
  gateway?.kill('SIGKILL');
  await once(gateway as NonNullable<typeof gateway>, 'exit');
  await ratchet('erase', '--session', 'carl', '--agent', 'desk');
  const left = await allBytes();
  expect(left).not.toContain(SAID);
  expect(left).not.toContain('live/desk/carl');
  expect(left).toContain('where is my parcel?');
  expect(await ratchet('store', 'verify', '--deep')).toContain('The store is whole.');
  expect(await ratchet('privacy', 'report')).toMatch(/desk +email +1 +1/);
  expect(await ratchet('privacy', 'retain')).toContain('Deleted 0 segments of 0 hours');
}, 60_000);

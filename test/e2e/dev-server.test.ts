import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DevServer, DevServerOptions } from '../../workers/servers/dev-server';
import { startDevServer } from '../../workers/servers/dev-server';
import { findDevServer } from '../../workers/servers/dev-server-process';
import { exec } from '../../workers/servers/exec';
import { anyFreePort } from '../../workers/servers/ports';
import { processTable } from '../../workers/servers/process-table';
import { serversDown, serversStatus } from '../../workers/servers/servers';
import { testBinary } from '../helpers/temporal-server';

let folder: string;
let binary: string;

beforeAll(async () => {
  binary = await testBinary();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ratchet dev server ')); // a path with spaces
});
afterEach(async () => {
  await serversDown({ stateDir: folder });
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Partial<DevServerOptions> = {}): Promise<DevServer> {
  return startDevServer({
    stateDir: folder,
    binary,
    lifetime: 'until-down',
    port: await anyFreePort(),
    uiPort: await anyFreePort(),
    ...options,
  });
}

async function temporal(server: DevServer, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await exec(binary, [...args, '--address', server.address]);
  if (code !== 0) throw new Error(`temporal ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function waitUntilGone(server: DevServer): Promise<void> {
  while ((await findDevServer(processTable, server.database)) !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a server that is killed and started again on its database still knows its workflows', async () => {
  const first = await start();
  expect(first.started).toBe(true);
  await temporal(first, [
    ...['workflow', 'start', '--type', 'trainingRun', '--task-queue', 'nobody'],
    ...['--workflow-id', 'run-1', '--search-attribute', 'RatchetPhase="queued"'],
  ]);
  process.kill(first.pid, 'SIGKILL');
  await waitUntilGone(first);
  expect(await serversStatus({ stateDir: folder })).toEqual({ temporal: { state: 'stopped' } });

  const second = await start();
  expect(second.pid).not.toBe(first.pid);
  const described = await temporal(second, ['workflow', 'describe', '-w', 'run-1']);
  expect(described).toContain('trainingRun');
  expect(await temporal(second, ['workflow', 'list'])).toContain('run-1');
});

test('the UI answers, and starting again uses the server that runs', async () => {
  const first = await start();
  const page = await fetch(`${first.ui}/`);
  expect(page.status).toBe(200);

  const second = await start();
  expect(second).toMatchObject({ started: false, pid: first.pid, address: first.address });
  const { temporal } = await serversStatus({ stateDir: folder });
  expect(temporal).toEqual({
    state: 'running',
    pid: first.pid,
    address: first.address,
    ui: first.ui,
    database: first.database,
  });
});

test('the search attributes are registered on a database that was made without them', async () => {
  const port = await anyFreePort();
  const database = join(folder, 'temporal.db');
  const args = [
    'server',
    'start-dev',
    '--headless',
    '--port',
    String(port),
    '--db-filename',
    database,
  ];
  const bare = spawn(binary, args, { stdio: 'ignore' });
  const address = `127.0.0.1:${port}`;
  while ((await exec(binary, ['operator', 'cluster', 'health', '--address', address])).code !== 0);
  const ended = new Promise((resolve) => bare.once('exit', resolve));
  bare.kill('SIGTERM');
  await ended;

  const notes: string[] = [];
  const server = await start({ notify: (note) => notes.push(note) });
  expect(notes.join()).toContain('registered the search attributes RatchetPolicy, RatchetPhase');
  const listed = await temporal(server, [
    'operator',
    'search-attribute',
    'list',
    '--output',
    'json',
  ]);
  expect(JSON.parse(listed)).toMatchObject({
    customAttributes: {
      RatchetPolicy: 'INDEXED_VALUE_TYPE_KEYWORD',
      RatchetPhase: 'INDEXED_VALUE_TYPE_KEYWORD',
      RatchetCandidate: 'INDEXED_VALUE_TYPE_KEYWORD',
      RatchetIteration: 'INDEXED_VALUE_TYPE_INT',
      RatchetReward: 'INDEXED_VALUE_TYPE_DOUBLE',
    },
  });
});

test('two that start at the same moment end up with one server', async () => {
  const [one, other] = await Promise.all([start(), start()]);
  expect(one.pid).toBe(other.pid);
  expect([one.started, other.started].sort()).toEqual([false, true]);
});

test('stopping through a link to the state folder finds the same server', async () => {
  const server = await start();
  const link = `${folder}-link`;
  await symlink(folder, link);
  try {
    expect((await serversDown({ stateDir: link })).temporal.state).toBe('stopped');
  } finally {
    await rm(link);
  }
  expect(() => process.kill(server.pid, 0)).toThrow(/ESRCH/);
});

test('a database that is none is named together with the way out', async () => {
  await writeFile(join(folder, 'temporal.db'), 'these are not the tables you are looking for');
  await expect(start()).rejects.toThrow(/mv '.*temporal\.db' .*file is not a database/s);
  expect(existsSync(join(folder, 'temporal.db'))).toBe(true);
});

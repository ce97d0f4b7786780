import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DevServer, DevServerOptions } from '../../../workers/servers/dev-server';
import { startDevServer } from '../../../workers/servers/dev-server';
import { readRecord, writeRecord } from '../../../workers/servers/dev-server-record';
import type { Exec } from '../../../workers/servers/exec';
import { anyFreePort, isPortFree } from '../../../workers/servers/ports';
import { serversDown, serversStatus } from '../../../workers/servers/servers';
import { runTemporalCli } from '../../../workers/servers/temporal-cli';

const binary = join(__dirname, 'fake-temporal.cjs');
let stateDir: string;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'ratchet-dev-server-'));
});
afterEach(async () => {
  delete process.env.FAKE_TEMPORAL;
  serverVersion = '1.31.2';
  await serversDown({ stateDir });
  await rm(stateDir, { recursive: true, force: true });
});

let serverVersion = '1.31.2';

/** Answers what the launcher asks the binary, without a process for each question. */
const exec: Exec = async (_file, args) => {
  const done = { code: 0, stdout: '{}', stderr: '' };
  if (args[0] === '--version') {
    return { ...done, stdout: `temporal version 1.8.2 (Server ${serverVersion}, UI 2.50.1)\n` };
  }
  if (args[1] !== 'cluster') return done;
  const port = Number(args[args.indexOf('--address') + 1]!.split(':')[1]);
  return (await isPortFree(port)) ? { ...done, code: 1 } : { ...done, stdout: 'SERVING\n' };
};

async function start(options: Partial<DevServerOptions> = {}): Promise<DevServer> {
  return startDevServer({
    stateDir,
    binary,
    exec,
    lifetime: 'until-down',
    port: await anyFreePort(),
    uiPort: await anyFreePort(),
    ...options,
  });
}

const isRunning = async (): Promise<boolean> =>
  (await serversStatus({ stateDir })).temporal.state === 'running';

/** As if the process that started the server had been killed. */
async function forgetParent(): Promise<void> {
  const record = await readRecord(stateDir);
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  await writeRecord(stateDir, { ...record!, parent: { pid, identity: 'an earlier start' } });
}

describe('who may stop a server', () => {
  test('the process that started it for itself', async () => {
    const server = await start({ lifetime: 'with-parent' });
    expect(await isRunning()).toBe(true);
    await server.stop();
    expect(await isRunning()).toBe(false);
  });

  test('not a process that found it running since `servers up`', async () => {
    await start();
    const found = await start({ lifetime: 'with-parent' });
    expect(found.started).toBe(false);
    await found.stop();
    expect(await isRunning()).toBe(true);
  });

  test('not its parent either, once `servers up` was run', async () => {
    const parent = await start({ lifetime: 'with-parent' });
    await start();
    await parent.stop();
    expect(await isRunning()).toBe(true);
  });

  test('the next one, if its parent was killed', async () => {
    const first = await start({ lifetime: 'with-parent' });
    await forgetParent();
    const notes: string[] = [];
    const next = await start({ lifetime: 'with-parent', notify: (note) => notes.push(note) });
    expect(next).toMatchObject({ started: false, pid: first.pid });
    expect(notes.join()).toContain('that an earlier run left behind');
    await next.stop();
    expect(await isRunning()).toBe(false);
  });

  test('`servers down`, always and as often as one likes', async () => {
    await start({ lifetime: 'with-parent' });
    for (let i = 0; i < 2; i++) {
      expect(await serversDown({ stateDir })).toEqual({ temporal: { state: 'stopped' } });
    }
    const nowhere = join(stateDir, 'never-used');
    expect(await serversStatus({ stateDir: nowhere })).toEqual({ temporal: { state: 'stopped' } });
    expect(existsSync(nowhere)).toBe(false);
  });
});

describe('a start that fails', () => {
  test('shows the end of the log and what to do, and leaves nothing running', async () => {
    process.env.FAKE_TEMPORAL = 'ends';
    await expect(start()).rejects.toThrow(/is too old, set TEMPORAL_CLI.*unknown flag/s);
    expect(await isRunning()).toBe(false);
  });

  test('by time shows the end of the log, and leaves nothing running', async () => {
    process.env.FAKE_TEMPORAL = 'hangs';
    await expect(start({ readyTimeoutMs: 1500 })).rejects.toThrow(
      /does not serve after 1.5 s.*still starting/s,
    );
    expect(await isRunning()).toBe(false);
  });

  test('because it was stopped leaves nothing running', async () => {
    process.env.FAKE_TEMPORAL = 'hangs';
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('Ctrl-C')), 300);
    await expect(start({ signal: stop.signal })).rejects.toThrow('Ctrl-C');
    expect(await isRunning()).toBe(false);
  });

  test('for want of a binary names it', async () => {
    await expect(start({ binary: '/nowhere/temporal' })).rejects.toThrow(/\/nowhere\/temporal/);
  });

  test('because the wanted port is taken says so, and the other program is left alone', async () => {
    const port = await anyFreePort();
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
    await expect(start({ port })).rejects.toThrow(/no free pair of ports/);
    expect(other.listening).toBe(true);
    other.close();
  });
});

describe('the database', () => {
  test('of another server version is not opened; the message says how to move it away', async () => {
    serverVersion = '1.30.0';
    await start();
    await serversDown({ stateDir });
    serverVersion = '1.31.2';
    await expect(start()).rejects.toThrow(
      /expected temporal version 1.8.2 \(Server 1.31.2.*got .*Server 1.30.0.*mv '.*temporal.db'/,
    );
  });

  test('of the same version, but for its last number, is opened', async () => {
    await start();
    await serversDown({ stateDir });
    serverVersion = '1.31.9';
    expect((await start()).started).toBe(true);
  });

  test('whose making was interrupted is put aside, not opened and not deleted', async () => {
    await writeFile(join(stateDir, 'temporal.db'), 'half the tables');
    await writeRecord(stateDir, {
      lifetime: 'until-down',
      parent: null,
      database: { state: 'creating', madeBy: 'temporal version 1.8.2' },
    });
    await start();
    const aside = (await readdir(stateDir)).filter((name) => name.includes('.incomplete-'));
    expect(await readFile(join(stateDir, aside[0]!), 'utf8')).toBe('half the tables');
    expect(await readFile(join(stateDir, 'temporal.db'), 'utf8')).toBe('tables');
    expect((await readRecord(stateDir))?.database.state).toBe('ready');
  });

  test('that someone else brought is opened', async () => {
    await writeFile(join(stateDir, 'temporal.db'), 'a copy');
    await start();
    expect(await readFile(join(stateDir, 'temporal.db'), 'utf8')).toBe('a copy');
  });
});

describe('the CLI', () => {
  const output = (): string => join(stateDir, 'output.json');
  const run = async (args: string[], env: NodeJS.ProcessEnv = {}): Promise<unknown> => {
    const config = { TEMPORAL_CONFIG_FILE: join(stateDir, 'none.toml') };
    const code = await runTemporalCli(args, {
      stateDir,
      env: {
        PATH: process.env.PATH,
        TEMPORAL_CLI: binary,
        FAKE_OUTPUT: output(),
        ...config,
        ...env,
      },
    });
    return { code, ...(JSON.parse(await readFile(output(), 'utf8')) as object) };
  };
  const list = ['workflow', 'list'];

  test('talks to the dev server that runs, and its exit status is passed on', async () => {
    expect(await run(list)).toEqual({ code: 7, args: list, address: null });
    const { address } = await start();
    expect(await run(list)).toEqual({ code: 7, args: list, address });
  });

  test('talks to the server that the user named by variable, profile or flag', async () => {
    await start();
    const TEMPORAL_ADDRESS = 'elsewhere:7233';
    expect(await run(list, { TEMPORAL_ADDRESS })).toMatchObject({ address: TEMPORAL_ADDRESS });
    const TEMPORAL_CONFIG_FILE = join(stateDir, 'own.toml');
    await writeFile(TEMPORAL_CONFIG_FILE, '[profile.default]\naddress = "cloud:7233"\n');
    expect(await run(list, { TEMPORAL_CONFIG_FILE })).toMatchObject({ address: null });
    expect(await run([...list, '--address=other:1'])).toMatchObject({ address: null });
  });
});

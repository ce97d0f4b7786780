import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import {
  devServerArguments,
  findDevServer,
  parseDevServer,
  stopDevServer,
} from '../../../workers/servers/dev-server-process';
import { processIdentity, processTable } from '../../../workers/servers/process-table';

const options = {
  database: '/home/someone/my work/.ratchet/temporal.db',
  port: 7233,
  uiPort: 8233,
  namespace: 'default',
  searchAttributes: { RatchetPhase: 'Keyword' },
};

test('a server is known again by its command line, also with spaces in the path', () => {
  const argv = ['/bin/temporal', ...devServerArguments(options)];
  const expected = {
    pid: 5,
    address: '127.0.0.1:7233',
    ui: 'http://127.0.0.1:8233',
    database: options.database,
  };
  expect(parseDevServer({ pid: 5, argv })).toEqual(expected);
  expect(parseDevServer({ pid: 5, argv: argv.join(' ').split(' ') })).toEqual(expected); // as `ps` prints it
});

test('a headless server has no UI', () => {
  const argv = ['temporal', ...devServerArguments({ ...options, uiPort: undefined })];
  expect(parseDevServer({ pid: 5, argv })).not.toHaveProperty('ui');
});

test.each([
  [['temporal', 'server', 'start-dev']],
  [['temporal', 'workflow', 'list', '--db-filename', options.database]],
  [['cat', options.database]],
])('%j is not one of our servers', (argv) => {
  expect(parseDevServer({ pid: 5, argv })).toBeUndefined();
});

describe('stopping', () => {
  const children: ChildProcess[] = [];
  afterEach(() => children.splice(0).forEach((child) => child.kill('SIGKILL')));

  /** A process with the command line of a dev server. */
  async function pretend(database: string, onTerm: string): Promise<ChildProcess> {
    const script = `process.on('SIGTERM', () => { ${onTerm} }); console.log('up'); setInterval(() => {}, 1000);`;
    const args = ['-e', script, ...devServerArguments({ ...options, database })];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    return child;
  }
  const stop = (database: string, graceMs: number) =>
    stopDevServer(database, { processes: processTable, graceMs, pollMs: 10 });

  test('a server that ends on SIGTERM is given the time for it', async () => {
    const child = await pretend('/one.db', 'setTimeout(() => process.exit(3), 100)');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    expect(await stop('/one.db', 5000)).toMatchObject({ pid: child.pid });
    expect(await ended).toBe(3);
  });

  test('one that does not end is killed; the server of another database lives on', async () => {
    const [child, other] = [await pretend('/one.db', ''), await pretend('/two.db', '')];
    const ended = new Promise((resolve) => child.once('exit', (_code, by) => resolve(by)));
    await stop('/one.db', 100);
    expect(await ended).toBe('SIGKILL');
    expect(await findDevServer(processTable, '/two.db')).toMatchObject({ pid: other.pid });
  });

  test('where nothing runs, nothing happens', async () => {
    expect(await stop('/none.db', 100)).toBeUndefined();
  });
});

test('a process has an identity while it runs, and none once it has ended', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const identity = await processIdentity(child.pid!);
  expect(identity).toBe(await processIdentity(child.pid!));
  expect(identity).not.toBe(await processIdentity(process.pid));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  expect(await processIdentity(child.pid!)).toBeUndefined();
});

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { distPath } from '../../src/adapters/dist-path';
import { testAddress } from './temporal-server';

/** A folder of an installation of its own: store, keys, logs; removed at the end. */
export async function temporaryHome(): Promise<{ readonly home: string; remove(): Promise<void> }> {
  const home = await mkdtemp(join(tmpdir(), 'ratchet-home-'));
  return { home, remove: () => rm(home, { recursive: true, force: true }) };
}

export interface WorkerProcess {
  readonly pid: number;
  /** Resolves when the process has ended, whatever ended it. */
  readonly ended: Promise<void>;
  /** As pulling the plug would. */
  kill(): Promise<void>;
  stop(): Promise<void>;
  signal(by: NodeJS.Signals): void;
  /** The exit code once it has ended; null: a signal ended it. */
  readonly exitCode: Promise<number | null>;
  /** All that it wrote to stderr. */
  log(): string;
}

export interface WorkerOptions {
  readonly home: string;
  readonly taskQueue: string;
  readonly roles?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A real worker process over the small desk, polling the test server. Resolves once it polls. */
export async function startWorkerProcess({
  home,
  taskQueue,
  roles,
  env = {},
}: WorkerOptions): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [distPath('workers/cli.js'), 'worker'], {
    env: {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_PROJECT: join(__dirname, 'projects/small-desk.cjs'),
      RATCHET_TASK_QUEUE: taskQueue,
      RATCHET_END_WITH_STDIN: '1',
      TEMPORAL_ADDRESS: testAddress(),
      ...(roles === undefined ? {} : { RATCHET_ROLES: roles }),
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready: ')) resolve();
    });
    void ended.then(() =>
      reject(new Error(`the worker ended before it was ready:\n${stderr.slice(-4_000)}`)),
    );
  });
  const end = async (by: NodeJS.Signals): Promise<void> => {
    child.kill(by);
    await ended;
  };
  return {
    pid: child.pid ?? 0,
    ended: ended.then(() => undefined),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    signal: (by) => void child.kill(by),
    exitCode: ended,
    log: () => stderr,
  };
}

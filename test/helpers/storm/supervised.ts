import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** What a storm kills. */
export interface Victim {
  readonly name: string;
  /** Pulls the plug, and leaves it pulled for `downMs` (as short as a supervisor does); resolves when its successor is ready. */
  kill(downMs?: number): Promise<void>;
}

/** A process that is started again whenever it ends, as a service manager or a container runtime would. */
export interface Supervised extends Victim {
  /** How often it has been started. */
  starts(): number;
  /** Resolves when the process that runs now is ready. */
  ready(): Promise<void>;
  /** Asks it to end, and does not start it again. */
  stop(): Promise<void>;
}

export interface Command {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Ready when it prints a line that begins so, or when it accepts connections. */
  readonly readyWhen: { readonly line: string } | { readonly port: number };
}

const RESTART_AFTER_MS = 300;
const READY_WITHIN_MS = 90_000;
const PROBE_MS = 100;

export function supervise(command: Command): Supervised {
  const { name, readyWhen } = command;
  const log = createWriteStream(command.logFile, { flags: 'a' });
  let isStopping = false;
  let starts = 0;
  let restartAfterMs = RESTART_AFTER_MS;
  let child: ChildProcess;
  let ended: Promise<void>;
  let ready: Promise<void>;

  const start = (): void => {
    starts += 1;
    log.write(`--- start ${starts} of ${name}\n`);
    const started = spawn(command.program, [...command.args], {
      env: command.env,
      stdio: ['pipe', 'pipe', 'pipe'], // the open standard input tells our own processes that we live
    });
    started.stdin.on('error', () => undefined); // it ended before us: `exit` says so
    started.stderr.on('data', (chunk: Buffer) => log.write(chunk));
    const lines = createInterface({ input: started.stdout });
    lines.on('line', (line) => log.write(`${line}\n`));
    let hasEnded = false;
    ended = new Promise((resolve) => {
      started.once('close', (code, by) => {
        hasEnded = true;
        log.write(`--- ${name} ended: ${code ?? by}\n`);
        resolve();
        if (!isStopping) setTimeout(() => isStopping || start(), restartAfterMs);
      });
    });
    const isUp =
      'port' in readyWhen
        ? untilListening(readyWhen.port, () => hasEnded)
        : new Promise<void>((resolve) => {
            lines.on('line', (line) => {
              if (line.startsWith(readyWhen.line)) resolve();
            });
          });
    // One that dies while it starts is succeeded by another: whoever waits, waits for that one.
    ready = Promise.race([isUp, ended.then(() => delay(2 * restartAfterMs).then(() => ready))]);
    child = started;
  };
  start();

  return {
    name,
    starts: () => starts,
    ready: () =>
      Promise.race([
        ready,
        delay(READY_WITHIN_MS, undefined, { ref: false }).then(() => {
          throw new Error(`${name} was not ready within ${READY_WITHIN_MS / 1_000} s: see its log`);
        }),
      ]),
    async kill(downMs = RESTART_AFTER_MS) {
      const before = starts;
      restartAfterMs = downMs;
      child.kill('SIGKILL');
      await ended;
      while (starts === before && !isStopping) await delay(RESTART_AFTER_MS / 3);
      restartAfterMs = RESTART_AFTER_MS;
      await this.ready();
    },
    async stop() {
      isStopping = true;
      child.kill('SIGTERM');
      await ended;
      log.end();
    },
  };
}

async function untilListening(port: number, isGone: () => boolean): Promise<void> {
  while (!(await isListening(port))) {
    if (isGone()) return new Promise(() => undefined); // its successor is waited for instead
    await delay(PROBE_MS);
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const answer = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => answer(true)).once('error', () => answer(false));
  });
}

import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { InvalidInputError, TransientError } from '../src/errors';
import { Duration, durationMs } from '../src/schemas/duration';
import { PausedKind } from '../src/schemas/pause';
import { readPauses, removePause, writePause } from '../src/storage/pauses';
import type { ObjectStore } from '../src/storage/object-store';
import { endWithStdin, READY } from './demo/child-process';
import type { Environment } from './env';
import { textTable } from './text-table';

const print = (line: string): void => void process.stdout.write(`${line}\n`);
/** Gateways look for pauses every two seconds. */
const KNOWN_EVERYWHERE_MS = 3_000;

/** `ratchet gateway`, and what holds calls back at every gateway of the store. */
export function gatewayCommands(env: () => Environment): Command {
  const gateway = new Command('gateway')
    .description('Serve live traffic: agents point OPENAI_BASE_URL here.')
    .action(async () => {
      const { runGateway } = await import('./gateway.js');
      endWithStdin();
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      await runGateway(env(), stop.signal, (url) => print(`${READY}${url}`));
    });

  targets(gateway.command('pause'))
    .description('New calls get 503 until `resume`; those under way are finished.')
    .option('--reason <text>', 'told to those who are refused', '')
    .action(async (options: TargetOptions & { reason: string }) => {
      const { kind, name } = targetOf(options);
      await pause(await openStore(env()), kind, name, options.reason);
      print(`paused ${kind} ${name}; gateways know within seconds`);
    });
  targets(gateway.command('resume'))
    .description('Ends a pause.')
    .action(async (options: TargetOptions) => {
      const { kind, name } = targetOf(options);
      const wasPaused = await removePause(await openStore(env()), kind, name);
      print(wasPaused ? `resumed ${kind} ${name}` : `${kind} ${name} was not paused`);
    });
  gateway
    .command('pauses')
    .description('What is paused.')
    .action(async () => {
      const pauses = await readPauses(await openStore(env()));
      if (pauses.length === 0) return print('nothing is paused');
      const rows = pauses.map(({ kind, name, at, reason }) => [kind, name, at, reason]);
      print(textTable(['kind', 'name', 'since', 'reason'], rows));
    });
  gateway
    .command('drain')
    .description('Pause an upstream, and wait until a gateway has no call running there.')
    .requiredOption('--upstream <name>')
    .option('--reason <text>', 'told to those who are refused', '')
    .option('--url <url>', 'the gateway', 'http://127.0.0.1:8787')
    .option('--timeout <duration>', 'how long to wait', age, 600_000)
    .action(async (options: DrainOptions) => {
      await runningAt(options.url, options.upstream); // a wrong name is said before anything is paused
      await pause(await openStore(env()), 'upstream', options.upstream, options.reason);
      print(`paused upstream ${options.upstream}`);
      const giveUpAt = Date.now() + options.timeout;
      await sleep(KNOWN_EVERYWHERE_MS);
      for (;;) {
        const running = await runningAt(options.url, options.upstream);
        if (running === 0) return print('no call is running there');
        if (Date.now() > giveUpAt) {
          throw new TransientError(
            `an upstream is not drained: expected no calls, got ${running}; it stays paused`,
            { context: { upstream: options.upstream } },
          );
        }
        await sleep(1_000);
      }
    });
  return gateway;
}

interface TargetOptions {
  readonly upstream?: string;
  readonly model?: string;
  readonly agent?: string;
}

interface DrainOptions {
  readonly upstream: string;
  readonly reason: string;
  readonly url: string;
  readonly timeout: number;
}

function targets(command: Command): Command {
  return command
    .option('--upstream <name>', 'no calls to it')
    .option('--model <name>', 'no calls for this model name')
    .option('--agent <name>', 'no calls of it');
}

/** @throws {InvalidInputError} unless exactly one is named. */
function targetOf(options: TargetOptions): { readonly kind: PausedKind; readonly name: string } {
  const named = PausedKind.options.flatMap((kind) => {
    const name = options[kind];
    return name === undefined ? [] : [{ kind, name }];
  });
  const [target, ...others] = named;
  if (target !== undefined && others.length === 0) return target;
  throw new InvalidInputError('expected exactly one of --upstream, --model and --agent');
}

function age(text: string): number {
  const parsed = Duration.safeParse(text);
  if (parsed.success) return durationMs(parsed.data);
  throw new InvalidArgumentError('expected a number and ms, s, m, h or d, e.g. 10m');
}

async function openStore(env: Environment): Promise<ObjectStore> {
  const { openStore: open } = await import('./open-store.js');
  return open(env, { log: (line) => void process.stderr.write(`${line}\n`) });
}

async function pause(
  store: ObjectStore,
  kind: PausedKind,
  name: string,
  reason: string,
): Promise<void> {
  await writePause(store, {
    ...{ formatVersion: 1, kind, name, reason, at: new Date().toISOString() },
  });
}

/** @throws {TransientError} if the gateway does not answer. @throws {InvalidInputError} if it knows no such upstream. */
async function runningAt(url: string, upstream: string): Promise<number> {
  let text: string;
  try {
    const response = await fetch(new URL('/metrics', url), { signal: AbortSignal.timeout(5_000) });
    text = await response.text();
  } catch (cause) {
    throw new TransientError(
      'the gateway does not answer; `ratchet gateway pauses` says what is paused',
      {
        ...{ context: { url }, cause },
      },
    );
  }
  const prefix = `ratchet_upstream_running{upstream="${upstream}"} `;
  const line = text.split('\n').find((one) => one.startsWith(prefix));
  if (line !== undefined) return Number(line.slice(prefix.length));
  throw new InvalidInputError('the gateway has no upstream of this name: see its configuration', {
    context: { url, upstream },
  });
}

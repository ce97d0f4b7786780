import cluster from 'node:cluster';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLocalKeyFile } from '../src/adapters/local-key-file/local-key-file';
import { createLocalKeyUse } from '../src/adapters/local-key-use/local-key-use';
import { InvalidInputError } from '../src/errors';
import type { ApiKeyStore } from '../src/gateway/keys/api-keys';
import type { KeyUseStore } from '../src/gateway/keys/key-use';
import { createGateway } from '../src/gateway/app';
import type { Fleet } from '../src/gateway/fleet';
import { ALONE } from '../src/gateway/fleet';
import { assertSafe, type Exposure } from '../src/gateway/http/exposure';
import { createSpoolDrain, type DrainLog } from '../src/gateway/recording/drain-spool';
import { createRewardWriter } from '../src/gateway/recording/reward-writer';
import type { LogEntry } from '../src/gateway/http/route';
import { createRoutingReader } from '../src/gateway/routing-reader';
import { serveGateway } from '../src/gateway/http/serve';
import { createSpoolRecorder } from '../src/gateway/recording/spool-recorder';
import type { Environment, GatewayExposure } from './env';
import { createFleet, processChannel } from './gateway-fleet';
import { runGatewayProcesses } from './gateway-processes';
import { createLog } from './log';
import { openPolicies } from './open-policies';
import { openRedaction } from './open-redaction';
import { openSpool } from './open-spool';
import { openStore } from './open-store';
import { keyFolder, signingKey } from './secret-keys';
import { openTracer } from './open-tracer';
import { openUpstreams } from './upstreams';
import { openLocalLedger } from '../src/adapters/spending-ledger/local-ledger';
import { openPauses } from '../src/gateway/pauses';
import { createAgentLimiter } from '../src/gateway/limits/agent-limiter';
import { NO_LEDGER, type SpendingLedger } from '../src/gateway/limits/ledger';
import type { Upstreams } from '../src/gateway/upstreams/upstreams';

/** For draining the spool after the last call; what is left is drained by the next start. */
const DRAIN_GRACE_MS = 4_000;
/** For calls under way, however short the time for stopping is. */
const MIN_CALLS_GRACE_MS = 500;

export function openKeyFile(env: Environment): ApiKeyStore {
  return createLocalKeyFile(join(keyFolder(env), 'api-keys.json'));
}

export function openKeyUse(env: Environment): KeyUseStore {
  return createLocalKeyUse(join(keyFolder(env), 'used'));
}

/** @throws {InvalidInputError} naming the file. */
async function readExposure(exposure: GatewayExposure | null): Promise<Exposure | null> {
  if (exposure === null || exposure.kind !== 'tls') return exposure;
  const read = async (path: string, variable: string): Promise<string> => {
    try {
      return await readFile(path, 'utf8');
    } catch (cause) {
      throw new InvalidInputError(
        `a file of the gateway’s TLS cannot be read; ${variable} names it`,
        {
          context: { path },
          cause,
        },
      );
    }
  };
  return {
    kind: 'tls',
    cert: await read(exposure.certPath, 'RATCHET_GATEWAY_TLS_CERT'),
    key: await read(exposure.keyPath, 'RATCHET_GATEWAY_TLS_KEY'),
  };
}

/** In the spool's folder, which outlives the process: where agents have limits, what they have spent must too. */
async function openLedger(
  { spool }: Environment,
  { limits }: Upstreams,
  warn: (line: string) => void,
): Promise<SpendingLedger> {
  if (limits.default === undefined && Object.keys(limits.agents).length === 0) return NO_LEDGER;
  return openLocalLedger({
    folder: join(spool.root, 'spending'),
    onError: (error) =>
      warn(`what agents have spent cannot be kept; limits hold for this process alone: ${error}`),
  });
}

/** Serves live traffic until `signal` aborts, with as many processes as it was told. @param onReady is called with the base URL once it listens. */
export async function runGateway(
  env: Environment,
  signal: AbortSignal,
  onReady: (url: string) => void,
): Promise<void> {
  if (cluster.isWorker) {
    const channel = processChannel();
    await serve(env, signal, (url) => channel.send({ type: 'ready', url }), createFleet(channel));
    process.disconnect(); // else the channel keeps this process alive
  } else if (env.gateway.processes > 1) {
    await runGatewayProcesses(env, signal, onReady);
  } else {
    await serve(env, signal, onReady, ALONE);
  }
}

/** With this process. */
async function serve(
  env: Environment,
  signal: AbortSignal,
  onReady: (url: string) => void,
  fleet: Fleet,
): Promise<void> {
  const own = createLog(env.log, { role: 'gateway' });
  const log = ({ level, message, ...fields }: LogEntry | DrainLog): void =>
    own[level](message, fields);
  const exposure = await readExposure(env.gateway.exposure);
  assertSafe(env.gateway.host, exposure); // before anything waits for a store
  const upstreams = await openUpstreams(env); // first: a mistake in its file is said at once
  const tracer = await openTracer((line) => own.warn(line));
  const redaction = await openRedaction(env);
  const store = await openStore(env, { log: (line) => own.warn(line) });
  const { policies, runtime } = await openPolicies(env, store);
  const spool = await openSpool(env, env.gateway.processes);
  const pauses = await openPauses(store, {
    onError: (error) =>
      own.warn(`what is paused cannot be read; what was read last holds: ${error}`),
  });
  const ledger = await openLedger(env, upstreams, (line) => own.warn(line));
  const drain = createSpoolDrain({ spool, store, log });
  const server = await serveGateway(
    createGateway({
      policies,
      routing: createRoutingReader(store),
      upstreams,
      redaction,
      pauses,
      limiter: createAgentLimiter(upstreams.limits, ledger, Date.now),
      recorder: createSpoolRecorder({ spool }),
      spoolStatus: () => ({ spool: spool.snapshot(), drain: drain.snapshot() }),
      signingKey: await signingKey(env),
      apiKeys: openKeyFile(env),
      keyUse: openKeyUse(env),
      rewards: createRewardWriter(store),
      tracer,
      fleet,
      log,
    }),
    { ...env.gateway, exposure },
  );
  drain.start();
  try {
    onReady(server.url);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    const graceMs = Math.max(MIN_CALLS_GRACE_MS, env.shutdownGraceMs - DRAIN_GRACE_MS);
    const cut = await server.close(graceMs);
    if (cut > 0) {
      own.warn(`${cut} calls were cut off: they did not end within ${graceMs / 1_000} s`);
    }
    await upstreams.transport.close();
    await ledger.close();
    await tracer?.close();
    await drain.close(DRAIN_GRACE_MS);
    await policies.close();
    await runtime.close();
  }
}

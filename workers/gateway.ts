import { constants } from 'node:fs';
import { access, mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createLocalKeyFile } from '../src/adapters/local-key-file/local-key-file';
import { createLocalKeyUse } from '../src/adapters/local-key-use/local-key-use';
import { hasCode } from '../src/adapters/local-store/fs-errors';
import { createThreadRuntime } from '../src/adapters/ort/thread-runtime';
import { createLocalSpool } from '../src/adapters/spool/local-spool';
import { InvalidInputError } from '../src/errors';
import type { ApiKeyStore } from '../src/gateway/keys/api-keys';
import type { KeyUseStore } from '../src/gateway/keys/key-use';
import { createGateway } from '../src/gateway/app';
import { assertSafe, type Exposure } from '../src/gateway/http/exposure';
import { createSpoolDrain, type DrainLog } from '../src/gateway/recording/drain-spool';
import { createRewardWriter } from '../src/gateway/recording/reward-writer';
import type { LogEntry } from '../src/gateway/http/route';
import { createRoutingReader } from '../src/gateway/routing-reader';
import { serveGateway } from '../src/gateway/http/serve';
import type { Spool } from '../src/gateway/recording/spool';
import { createSpoolRecorder } from '../src/gateway/recording/spool-recorder';
import { createPolicyServer } from '../src/policies/choice/policy-server';
import type { Environment, GatewayExposure } from './env';
import { createLog } from './log';
import { openRedaction } from './open-redaction';
import { openStore } from './open-store';
import { keyFolder, signingKey } from './secret-keys';
import { openUpstreams } from './upstreams';
import { openLocalLedger } from '../src/adapters/spending-ledger/local-ledger';
import { openPauses } from '../src/gateway/pauses';
import { createAgentLimiter } from '../src/gateway/limits/agent-limiter';
import { NO_LEDGER, type SpendingLedger } from '../src/gateway/limits/ledger';
import type { Upstreams } from '../src/gateway/upstreams/upstreams';
import { processIdentity } from './servers/process-table';

/** For draining the spool after the last call; what is left is drained by the next start. */
const DRAIN_GRACE_MS = 4_000;

export function openKeyFile(env: Environment): ApiKeyStore {
  return createLocalKeyFile(join(keyFolder(env), 'api-keys.json'));
}

export function openKeyUse(env: Environment): KeyUseStore {
  return createLocalKeyUse(join(keyFolder(env), 'used'));
}

/**
 * What is set up wrongly. A full disk is not, nor one that was made read-only because it fails: calls are answered without being recorded
 * until somebody has mended it.
 */
const UNUSABLE = ['EEXIST', 'ENOTDIR', 'EACCES', 'EPERM'];

/** @throws {InvalidInputError} if no live call could ever be recorded there: said at the start, and not by the calls that are lost. */
async function assertSpoolFolder(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (!hasCode(cause, ...UNUSABLE)) return; // may pass; the drain says it until it does
    throw new InvalidInputError(
      'the spool cannot be used: expected a folder that this user may write to; name one in RATCHET_SPOOL',
      { context: { root }, cause },
    );
  }
}

async function openSpool({ spool }: Environment): Promise<Spool> {
  await assertSpoolFolder(spool.root);
  const identity = (await processIdentity(process.pid)) ?? '';
  return createLocalSpool({
    root: spool.root,
    maxBytes: spool.maxBytes,
    maxFileAgeMs: spool.maxAgeMs,
    processes: {
      self: { pid: process.pid, identity, host: hostname() },
      identityOf: processIdentity,
    },
  });
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

/** Serves live traffic until `signal` aborts. @param onReady is called with the base URL once it listens. */
export async function runGateway(
  env: Environment,
  signal: AbortSignal,
  onReady: (url: string) => void,
): Promise<void> {
  const own = createLog(env.log, { role: 'gateway' });
  const log = ({ level, message, ...fields }: LogEntry | DrainLog): void =>
    own[level](message, fields);
  const exposure = await readExposure(env.gateway.exposure);
  assertSafe(env.gateway.host, exposure); // before anything waits for a store
  const upstreams = await openUpstreams(env); // first: a mistake in its file is said at once
  const redaction = await openRedaction(env);
  const store = await openStore(env, { log: (line) => own.warn(line) });
  const runtime = await createThreadRuntime({ threads: 1 });
  const policies = createPolicyServer({ store, runtime });
  const spool = await openSpool(env);
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
    await server.close();
    await upstreams.transport.close();
    await ledger.close();
    await drain.close(DRAIN_GRACE_MS);
    await policies.close();
    await runtime.close();
  }
}

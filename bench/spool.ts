import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../src/adapters/local-store';
import { createLocalSpool } from '../src/adapters/spool/local-spool';
import type { ApiKeyRecord } from '../src/gateway/keys/api-keys';
import { createApiKey } from '../src/gateway/keys/api-keys';
import { createGateway } from '../src/gateway/app';
import { createSpoolDrain } from '../src/gateway/recording/drain-spool';
import type { Recorder } from '../src/gateway/recording/recorder';
import { serveGateway } from '../src/gateway/http/serve';
import { createSpoolRecorder } from '../src/gateway/recording/spool-recorder';
import type { Digest } from '../src/schemas/ids';
import { instantPolicies } from './support/instant-policies';
import { median, quantileOf } from './support/quantiles';
import { chatRequestBytes, exchange } from './support/raw-http';

const CONNECTIONS = 64;
const WARM_UP_CALLS = 1_000;
/** The two recorders take turns in rounds of so many calls, so that what else the machine does meets both. */
const ROUNDS = 10;
const CALLS = 2_000;
const TOOLS = 20;
const CHECKPOINT: Digest = `sha256:${'c'.repeat(64)}`;

/** Durability off: the call is answered as soon as the policy has. */
const forgetful: Recorder = {
  begin: () => () => undefined,
  record: async () => undefined,
  recordFailure: () => undefined,
};

/**
 * What durability costs a live call: intent and decision in the spool (two groups with an fsync each) and its drain into a local store,
 * against the same gateway that records nothing. 64 connections, each asking again as soon as it was answered; client and gateway share
 * one thread. Figures are medians over the rounds; `durableShare` is the ratio of the calls per second, `addedP50Ms` and `addedP99Ms` are
 * differences of quantiles, each within one pair of rounds.
 */
export async function run(): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-bench-spool-'));
  const spool = createLocalSpool({
    root: join(folder, 'spool'),
    maxFileAgeMs: 1_000,
    processes: {
      self: { pid: process.pid, identity: 'bench', host: hostname() },
      identityOf: async () => 'bench',
    },
  });
  const drain = createSpoolDrain({
    spool,
    store: createLocalObjectStore({ root: join(folder, 'store') }),
  });
  const on = await serve(createSpoolRecorder({ spool }));
  const off = await serve(forgetful);
  const rounds = { on: [] as Round[], off: [] as Round[] };
  try {
    for (const side of [on, off]) await load(side, WARM_UP_CALLS);
    drain.start();
    const before = spool.snapshot();
    for (let i = 0; i < ROUNDS; i++) {
      rounds.off.push(await load(off, CALLS));
      rounds.on.push(await load(on, CALLS));
    }
    const after = spool.snapshot();
    const rssMb = process.memoryUsage().rss / 2 ** 20;
    await drain.close(30_000);
    const calls = ROUNDS * CALLS;
    const groups = after.groupSizes.reduce((sum, n, i) => sum + n - (before.groupSizes[i] ?? 0), 0);
    const lost = WARM_UP_CALLS + calls - drain.snapshot().decisions;
    if (lost !== 0) throw new RangeError(`${lost} calls were not drained`);
    const pairs = rounds.on.map((durable, i) => [durable, rounds.off[i] ?? durable] as const);
    return {
      callsPerSecond: median(rounds.on.map(perSecond)),
      callsPerSecondWithout: median(rounds.off.map(perSecond)),
      durableShare: median(pairs.map(([a, b]) => perSecond(a) / perSecond(b))),
      p50Ms: median(rounds.on.map((round) => quantileOf(round.latencies, 0.5))),
      p99Ms: median(rounds.on.map((round) => quantileOf(round.latencies, 0.99))),
      addedP50Ms: median(
        pairs.map(([a, b]) => quantileOf(a.latencies, 0.5) - quantileOf(b.latencies, 0.5)),
      ),
      addedP99Ms: median(
        pairs.map(([a, b]) => quantileOf(a.latencies, 0.99) - quantileOf(b.latencies, 0.99)),
      ),
      fsyncsPerCall: (after.fsyncs - before.fsyncs) / calls,
      entriesPerGroup: (after.appended - before.appended) / groups,
      bytesPerCall: (after.appendedBytes - before.appendedBytes) / calls,
      cpuMicrosPerCall: cpuPerCall(rounds.on),
      cpuMicrosPerCallWithout: cpuPerCall(rounds.off),
      rssMb,
    };
  } finally {
    await on.close();
    await off.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** A gateway, and who asks it: connections are kept, so that opening them is in no figure. */
interface Side {
  readonly sockets: readonly Socket[];
  readonly requests: readonly Buffer[];
  close(): Promise<void>;
}

async function serve(recorder: Recorder): Promise<Side> {
  let records: readonly ApiKeyRecord[] = [];
  const apiKeys = {
    read: async () => records,
    update: async (change: (now: readonly ApiKeyRecord[]) => readonly ApiKeyRecord[]) => {
      records = change(records);
    },
  };
  const { key } = await createApiKey(apiKeys, { role: 'agent', agent: 'bench' });
  const gateway = createGateway({
    policies: instantPolicies(TOOLS),
    routing: {
      resolve: async () => CHECKPOINT,
      named: async () => [CHECKPOINT],
      policies: async () => ['bench'],
    },
    recorder,
    signingKey: new Uint8Array(32).fill(7),
    apiKeys,
    rewards: null,
  });
  const server = await serveGateway(gateway);
  const { hostname: host, port } = new URL(server.url);
  const sockets = Array.from({ length: CONNECTIONS }, () =>
    connect(Number(port), host).setNoDelay(),
  );
  return {
    sockets,
    requests: Array.from({ length: 256 }, (_, i) => chatRequestBytes(key, i, TOOLS)),
    async close() {
      for (const socket of sockets) socket.destroy();
      await server.close(1_000);
    },
  };
}

interface Round {
  readonly seconds: number;
  readonly cpuMicros: number;
  /** Milliseconds per call. */
  readonly latencies: readonly number[];
}

async function load({ sockets, requests }: Side, calls: number): Promise<Round> {
  const latencies: number[] = [];
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let next = 0;
  const work = async (socket: Socket): Promise<void> => {
    while (next < calls) {
      const bytes = requests[next++ % requests.length] ?? Buffer.alloc(0);
      const askedAt = performance.now();
      const answer = await exchange(socket, bytes);
      if (!answer.startsWith('HTTP/1.1 200') || /x-ratchet-recorded/i.test(answer)) {
        throw new RangeError(`the gateway did not answer and record a call: ${answer}`);
      }
      latencies.push(performance.now() - askedAt);
    }
  };
  await Promise.all(sockets.map(work));
  const { user, system } = process.cpuUsage(cpu);
  return {
    seconds: (performance.now() - startedAt) / 1_000,
    cpuMicros: user + system,
    latencies,
  };
}

function perSecond({ latencies, seconds }: Round): number {
  return latencies.length / seconds;
}

function cpuPerCall(rounds: readonly Round[]): number {
  return median(rounds.map(({ cpuMicros, latencies }) => cpuMicros / latencies.length));
}

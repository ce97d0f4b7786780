import { connect } from 'node:net';
import { createBatchRecorder } from '../../src/gateway/recording/batch-recorder';
import { createGateway } from '../../src/gateway/app';
import type { Recorder } from '../../src/gateway/recording/recorder';
import { serveGateway } from '../../src/gateway/http/serve';
import { mintSessionToken } from '../../src/gateway/keys/session-token';
import type { Digest } from '../../src/schemas/ids';
import { instantPolicies } from '../support/instant-policies';
import { quantileOf } from '../support/quantiles';
import { chatRequestBytes, exchange } from '../support/raw-http';

/** Connections that ask at the same time, as a rollout batch's agents do. */
const CONNECTIONS = 16;
const WARM_UP_CALLS = 2_000;
const CALLS = 8_000;
const TOOLS = 151;
const CHECKPOINT: Digest = `sha256:${'c'.repeat(64)}`;
const SIGNING_KEY = new Uint8Array(32).fill(7);

/**
 * What a call costs through HTTP, with 151 tools in each body and a policy that answers at once. Client and server share one thread, so
 * `callsPerSecond` counts both against one core; `cpuMicrosPerCall` is all that the process burnt.
 */
export async function policyCalls(): Promise<Record<string, number>> {
  const batch = createBatchRecorder();
  const session = 'bench/0';
  batch.open(session);
  const gateway = createGateway({
    policies: instantPolicies(TOOLS),
    routing: { resolve: async () => null, named: async () => [], policies: async () => [] },
    recorder: batch satisfies Recorder,
    signingKey: SIGNING_KEY,
    apiKeys: null,
    rewards: null,
  });
  const server = await serveGateway(gateway);
  const key = mintSessionToken(SIGNING_KEY, {
    session,
    agent: 'bench',
    policy: 'bench',
    checkpoint: CHECKPOINT,
    sampling: { temperature: 1 },
    draw: { seed: 1, iteration: 0, task: 'a', member: 0 },
    expiresAt: Math.floor(Date.now() / 1_000) + 3_600,
  });
  const requests = Array.from({ length: 256 }, (_, i) => chatRequestBytes(key, i, TOOLS));
  try {
    await load(server.url, requests, WARM_UP_CALLS);
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    const latencies = await load(server.url, requests, CALLS);
    const seconds = (performance.now() - startedAt) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    return {
      callsPerSecond: CALLS / seconds,
      cpuMicrosPerCall: (user + system) / CALLS,
      p50Ms: quantileOf(latencies, 0.5),
      p99Ms: quantileOf(latencies, 0.99),
      requestBytes: requests[0]?.length ?? 0,
      rssMb: process.memoryUsage().rss / 2 ** 20,
    };
  } finally {
    await server.close(1_000);
  }
}

/** Each connection asks again as soon as it was answered. @returns milliseconds per call. */
async function load(url: string, requests: readonly Buffer[], calls: number): Promise<number[]> {
  const { hostname, port } = new URL(url);
  const latencies: number[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    const socket = connect(Number(port), hostname).setNoDelay();
    while (next < calls) {
      const bytes = requests[next++ % requests.length] ?? Buffer.alloc(0);
      const startedAt = performance.now();
      const head = await exchange(socket, bytes);
      if (!head.startsWith('HTTP/1.1 200')) throw new RangeError(`the gateway answered ${head}`);
      latencies.push(performance.now() - startedAt);
    }
    socket.destroy();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  return latencies;
}

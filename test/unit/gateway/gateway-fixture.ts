import type { Gateway, GatewayDeps } from '../../../src/gateway/app';
import { createGateway } from '../../../src/gateway/app';
import type { ApiKeyRecord, ApiKeyStore, NewApiKey } from '../../../src/gateway/keys/api-keys';
import { createApiKey } from '../../../src/gateway/keys/api-keys';
import { createBatchRecorder } from '../../../src/gateway/recording/batch-recorder';
import type { BatchRecorder } from '../../../src/gateway/recording/batch-recorder';
import type { GatewayCounters } from '../../../src/gateway/metrics/counters';
import { createCounters } from '../../../src/gateway/metrics/counters';
import { createRewardWriter } from '../../../src/gateway/recording/reward-writer';
import type { LogEntry } from '../../../src/gateway/http/route';
import { createRoutingReader } from '../../../src/gateway/routing-reader';
import type { SessionClaims } from '../../../src/gateway/keys/session-token';
import { mintSessionToken } from '../../../src/gateway/keys/session-token';
import type { Digest } from '../../../src/schemas/ids';
import type { ObjectStore } from '../../../src/storage/object-store';
import type { Routing } from '../../../src/storage/routing';
import { createRouting } from '../../../src/storage/routing';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import type { FakePolicyServer } from '../../fakes/fake-policy-server';
import { createFakePolicyServer } from '../../fakes/fake-policy-server';

export const SIGNING_KEY = new Uint8Array(32).fill(1);
export const CHAMPION: Digest = `sha256:${'a'.repeat(64)}`;
export const CANDIDATE: Digest = `sha256:${'ab'.repeat(32)}`;
export const OTHER: Digest = `sha256:${'c'.repeat(64)}`;
export const NOW = Date.parse('2026-11-23T12:00:00.000Z');

export const tools = ['refund', 'weather', 'escalate_to_human'].map((name) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object' } },
}));

export function chat(overrides: object = {}): object {
  return {
    model: 'ratchet/support',
    messages: [{ role: 'user', content: 'give me my money back' }],
    tools,
    ...overrides,
  };
}

/** Key records in memory. */
export function createMemoryKeys(): ApiKeyStore {
  let records: readonly ApiKeyRecord[] = [];
  return {
    read: async () => records,
    update: async (change) => {
      records = change(records);
    },
  };
}

export function routingTo(champion: Digest, candidate: Digest | null = null): Routing {
  return {
    ...{ formatVersion: 1, generation: 1, champion, candidate, basisPoints: 0, salt: 'salt' },
    ...{ leaseUntil: null, previous: null, promotionId: null },
  };
}

export interface Fixture {
  readonly app: Gateway;
  readonly store: ObjectStore;
  readonly policies: FakePolicyServer;
  readonly recorder: BatchRecorder;
  readonly counters: GatewayCounters;
  readonly log: LogEntry[];
  readonly keys: ApiKeyStore;
  /** @returns a new key of that role. */
  key(options: NewApiKey): Promise<string>;
  /** @returns a session's token; the session is open for recording. */
  session(claims?: Partial<SessionClaims>): string;
  post(path: string, key: string | null, body: unknown, headers?: object): Promise<Reply>;
  get(path: string, key: string | null): Promise<Reply>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly [key: string]: unknown;
    readonly id?: string;
    readonly error?: {
      readonly message: string;
      readonly type: string;
      readonly param: string | null;
      readonly code: string | null;
    };
  };
}

/** A gateway with one policy, `support`, whose champion is CHAMPION and whose candidate is CANDIDATE. */
export async function createFixture(overrides: Partial<GatewayDeps> = {}): Promise<Fixture> {
  const store = createMemoryObjectStore();
  await createRouting(store, 'support', routingTo(CHAMPION, CANDIDATE));
  const policies = createFakePolicyServer([CHAMPION, CANDIDATE, OTHER]);
  const recorder = createBatchRecorder();
  const counters = createCounters();
  const keys = createMemoryKeys();
  const log: LogEntry[] = [];
  let nowMs = NOW;
  const app = createGateway({
    ...{ policies, recorder, counters, apiKeys: keys, signingKey: SIGNING_KEY },
    routing: createRoutingReader(store),
    rewards: createRewardWriter(store),
    now: () => nowMs,
    log: (entry) => log.push(entry),
    ...overrides,
  });
  const send = async (path: string, key: string | null, init: RequestInit): Promise<Reply> => {
    const auth: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
    const headers = { ...auth, ...(init.headers as Record<string, string>) };
    const response = await app.request(path, { ...init, headers });
    const body = (await response.json()) as Reply['body'];
    return { status: response.status, headers: response.headers, body };
  };
  return {
    ...{ app, store, policies, recorder, counters, log, keys },
    async key(options) {
      nowMs += 100; // a gateway looks for new keys ten times a second
      return (await createApiKey(keys, options)).key;
    },
    session(claims = {}) {
      const all = claimsOf(claims);
      recorder.open(all.session);
      return mintSessionToken(SIGNING_KEY, all);
    },
    post: (path, key, body, headers = {}) =>
      send(path, key, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { ...headers },
      }),
    get: (path, key) => send(path, key, { method: 'GET', headers: {} }),
  };
}

export function claimsOf(overrides: Partial<SessionClaims> = {}): SessionClaims {
  return {
    session: 'run-1/0/task-1/0',
    agent: 'desk',
    policy: 'support',
    checkpoint: OTHER,
    sampling: { temperature: 1 },
    draw: { seed: 1, iteration: 0, task: 'task-1', member: 0 },
    expiresAt: NOW / 1_000 + 60,
    ...overrides,
  };
}

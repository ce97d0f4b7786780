import { setTimeout as wait } from 'node:timers/promises';
import type { LimitsConfig } from '../../schemas/agent-limits';
import { durationMs } from '../../schemas/duration';
import { GatewayConfig } from '../../schemas/gateway-config';
import { RecentMap } from '../recent-map';
import { createModelTable, type ModelTable } from './model-table';
import { createRetryBudget, type RetryBudget } from './retry-budget';
import { createUpstreamHealth, type UpstreamHealth } from './upstream-health';
import type { UpstreamTransport } from './upstream';
import { UpstreamError } from './upstream';

/** Times in milliseconds. */
export interface RetrySettings {
  /** Requests for one call, the first included. */
  readonly attempts: number;
  readonly patienceMs: number;
  readonly backOff: { readonly firstMs: number; readonly longestMs: number };
  readonly slow: boolean;
}

/** What retries ask of time and chance. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Rejects when `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

/** The models that upstreams answer for, how they are reached, and what this process knows of how they are. Shared by all its gateways. */
export interface Upstreams {
  readonly models: ModelTable;
  readonly transport: UpstreamTransport;
  readonly health: UpstreamHealth;
  readonly retries: RetrySettings;
  readonly budget: RetryBudget;
  /** Which upstream holds an answer, or a conversation, that calls may go on from. */
  readonly holders: RecentMap<string, string>;
  readonly clock: Clock;
  /** What the configuration says of agents. */
  readonly limits: LimitsConfig;
}

/** Retries that may be saved up: enough for the calls that are under way when an upstream dies. */
const BUDGET_BURST = 20;
/** About 10 MB. What is forgotten is found by its session, see ask-upstream.ts. */
const MAX_HOLDERS = 25_000;

export const REAL_CLOCK: Clock = {
  now: Date.now,
  sleep: (ms, signal) => wait(ms, undefined, { signal }),
  random: Math.random,
};

/** @param keys by upstream: the API keys that the configuration refers to. */
export function createUpstreams(
  config: GatewayConfig,
  keys: ReadonlyMap<string, string>,
  transport: UpstreamTransport,
  clock: Clock = REAL_CLOCK,
): Upstreams {
  const { retries, breaker } = config;
  return {
    models: createModelTable(config, keys),
    ...{ transport, clock, limits: config.limits },
    health: createUpstreamHealth(
      {
        failures: breaker.failures,
        openMs: durationMs(breaker.open),
        longestOpenMs: durationMs(breaker.longest),
      },
      () => clock.now(),
    ),
    retries: {
      attempts: retries.attempts,
      patienceMs: durationMs(retries.patience),
      backOff: {
        firstMs: durationMs(retries.backOff.first),
        longestMs: durationMs(retries.backOff.longest),
      },
      slow: retries.slow,
    },
    budget: createRetryBudget({ ratio: retries.budget, burst: BUDGET_BURST }),
    holders: new RecentMap(MAX_HOLDERS),
  };
}

export const NO_UPSTREAMS: Upstreams = createUpstreams(GatewayConfig.parse({}), new Map(), {
  // Nobody gets here: the table names no upstream.
  send: ({ name: upstream }) =>
    Promise.reject(new UpstreamError('unreachable', 'this gateway has no upstreams', { upstream })),
  close: async () => undefined,
});

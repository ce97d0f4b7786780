import type { AgentLimits, Budget, LimitsConfig } from '../../schemas/agent-limits';
import { RequestError } from '../http/request-error';
import type { ProcessSpending, SpendingLedger } from './ledger';
import { NO_LEDGER } from './ledger';
import type { AgentSpending, Amount } from './spending';
import { NO_SPENDING, NOTHING, plus, spend, spentIn, windowEndsInMs } from './spending';
import type { TokenBucket } from './token-bucket';
import { createTokenBucket } from './token-bucket';

/** Counts what agents ask of upstreams, and refuses what is too much. */
export interface AgentLimiter {
  /**
   * Counts a call that is about to be made.
   *
   * @throws {RequestError} 429 with how long to wait, if the agent has reached a limit.
   */
  admit(agent: string): void;
  /** Counts what a call has used. What was under way when a limit was reached is finished, and may go over it. */
  charge(agent: string, used: Omit<Amount, 'requests'>): void;
}

interface Account {
  readonly limits: AgentLimits;
  readonly requests: TokenBucket | null;
  readonly tokens: TokenBucket | null;
  spending: AgentSpending;
}

/**
 * Limits per agent over all processes that share the ledger. Each lets the others' spending count as its own as soon as it has read it, so
 * together they can go over a limit by what they spend in between (a quarter of a second), and not by how many they are.
 *
 * @param now milliseconds since 1970.
 */
export function createAgentLimiter(
  config: LimitsConfig,
  ledger: SpendingLedger,
  now: () => number,
): AgentLimiter {
  const accounts = new Map<string, Account>();
  /** What of the others' spending the buckets know of. */
  let seen: ReadonlyMap<string, ProcessSpending> = new Map();

  const accountOf = (agent: string): Account | null => {
    const known = accounts.get(agent);
    if (known !== undefined) return known;
    const limits = Object.hasOwn(config.agents, agent) ? config.agents[agent] : config.default;
    if (limits === undefined) return null;
    const bucket = (perMinute: number | undefined): TokenBucket | null =>
      perMinute === undefined ? null : createTokenBucket(perMinute, now());
    const account: Account = {
      ...{ limits, spending: NO_SPENDING },
      requests: bucket(limits.requestsPerMinute),
      tokens: bucket(limits.tokensPerMinute),
    };
    accounts.set(agent, account);
    // What was spent this minute, by whoever is still here or was: a restart fills no bucket.
    for (const { agents } of seen.values()) {
      take(account, spentIn(agents[agent] ?? NO_SPENDING, 'minute', now()), now());
    }
    return account;
  };

  const learn = (): void => {
    const others = ledger.others();
    if (others === seen) return;
    for (const [agent, account] of accounts) {
      for (const [process, { agents }] of others) {
        const spending = agents[agent] ?? NO_SPENDING;
        const before = seen.get(process);
        const fresh =
          before === undefined
            ? spentIn(spending, 'minute', now())
            : minus(spending.total, before.agents[agent]?.total ?? NOTHING);
        take(account, fresh, now());
      }
    }
    seen = others;
  };

  const add = (account: Account, amount: Amount): void => {
    take(account, amount, now());
    account.spending = spend(account.spending, amount, now());
    ledger.publish(() => ({
      formatVersion: 1,
      agents: Object.fromEntries(
        Array.from(accounts, ([name, { spending }]) => [name, spending] as const),
      ),
    }));
  };

  return {
    admit(agent) {
      learn();
      const account = accountOf(agent);
      if (account === null) return;
      assertRate(account, now());
      for (const budget of account.limits.budgets) {
        let spent = spentIn(account.spending, budget.per, now());
        for (const { agents } of seen.values()) {
          spent = plus(spent, spentIn(agents[agent] ?? NO_SPENDING, budget.per, now()));
        }
        assertBudget(budget, spent, now());
      }
      add(account, { ...NOTHING, requests: 1 });
    },
    charge(agent, used) {
      const account = accountOf(agent);
      if (account !== null) add(account, { ...used, requests: 0 });
    },
  };
}

/** Lets everything through. */
export const NO_LIMITS: AgentLimiter = createAgentLimiter({ agents: {} }, NO_LEDGER, Date.now);

function take({ requests, tokens }: Account, amount: Amount, nowMs: number): void {
  requests?.take(amount.requests, nowMs);
  tokens?.take(amount.tokens, nowMs);
}

function minus(a: Amount, b: Amount): Amount {
  return {
    requests: Math.max(0, a.requests - b.requests),
    tokens: Math.max(0, a.tokens - b.tokens),
    costMicros: Math.max(0, a.costMicros - b.costMicros),
  };
}

function assertRate({ limits, requests, tokens }: Account, nowMs: number): void {
  const forRequest = requests?.waitMs(1, nowMs) ?? 0;
  if (forRequest > 0) {
    throw tooMuch(
      `this agent may make ${limits.requestsPerMinute} requests per minute`,
      'rate_limit_exceeded',
      forRequest,
    );
  }
  const forTokens = tokens?.waitMs(1, nowMs) ?? 0;
  if (forTokens > 0) {
    throw tooMuch(
      `this agent may use ${limits.tokensPerMinute} tokens per minute`,
      'rate_limit_exceeded',
      forTokens,
    );
  }
}

function assertBudget({ per, tokens, money }: Budget, spent: Amount, nowMs: number): void {
  const of =
    tokens !== undefined && spent.tokens >= tokens
      ? `${tokens} tokens`
      : money !== undefined && spent.costMicros >= money * 1e6
        ? `${money} of money`
        : null;
  if (of === null) return;
  throw tooMuch(
    `this agent’s budget is spent: ${of} per ${per}; it has a new one when the next ${per} (UTC) begins`,
    'budget_exceeded',
    windowEndsInMs(per, nowMs),
  );
}

function tooMuch(
  message: string,
  reason: 'rate_limit_exceeded' | 'budget_exceeded',
  retryAfterMs: number,
): RequestError {
  return new RequestError(message, {
    ...{ status: 429, type: 'rate_limit_error', reason, retryAfterMs },
  });
}

import { z } from 'zod';
import type { BudgetWindow } from '../../schemas/agent-limits';

const WINDOW_MS: Readonly<Record<BudgetWindow, number>> = {
  ...{ minute: 60_000, hour: 3_600_000, day: 86_400_000 },
};

const Amount = z.strictObject({
  requests: z.int().min(0),
  tokens: z.int().min(0),
  /** Millionths of a unit of money. */
  costMicros: z.number().min(0),
});
/** What was asked and used. */
export type Amount = z.infer<typeof Amount>;

const Windowed = Amount.extend({
  /** When the window began, in milliseconds since 1970. */
  startMs: z.int(),
});

/** What one process has spent for one agent: since it started, and in the last window of each kind in which it spent anything. */
export const AgentSpending = z.strictObject({
  total: Amount,
  windows: z.strictObject({ minute: Windowed, hour: Windowed, day: Windowed }),
});
export type AgentSpending = z.infer<typeof AgentSpending>;

export const NOTHING: Amount = { requests: 0, tokens: 0, costMicros: 0 };
export const NO_SPENDING: AgentSpending = {
  total: NOTHING,
  windows: {
    minute: { ...NOTHING, startMs: 0 },
    hour: { ...NOTHING, startMs: 0 },
    day: { ...NOTHING, startMs: 0 },
  },
};

export function plus(a: Amount, b: Amount): Amount {
  return {
    requests: a.requests + b.requests,
    tokens: a.tokens + b.tokens,
    costMicros: Math.round((a.costMicros + b.costMicros) * 1_000) / 1_000,
  };
}

/** With an amount more, spent now. */
export function spend(spending: AgentSpending, amount: Amount, nowMs: number): AgentSpending {
  const window = (per: BudgetWindow): z.infer<typeof Windowed> => ({
    ...plus(spentIn(spending, per, nowMs), amount),
    startMs: windowStart(per, nowMs),
  });
  return {
    total: plus(spending.total, amount),
    windows: { minute: window('minute'), hour: window('hour'), day: window('day') },
  };
}

/** What was spent in the window that is now. */
export function spentIn({ windows }: AgentSpending, per: BudgetWindow, nowMs: number): Amount {
  const { startMs, ...amount } = windows[per];
  return startMs === windowStart(per, nowMs) ? amount : NOTHING;
}

/** Windows begin at full minutes, hours and days of UTC: every process agrees without asking another. */
function windowStart(per: BudgetWindow, nowMs: number): number {
  return Math.floor(nowMs / WINDOW_MS[per]) * WINDOW_MS[per];
}

/** Milliseconds until the next one begins. */
export function windowEndsInMs(per: BudgetWindow, nowMs: number): number {
  return windowStart(per, nowMs) + WINDOW_MS[per] - nowMs;
}

import { z } from 'zod';
import { Name } from './ids';

/** What a budget is for: the time from one full minute, hour or day (UTC) to the next. */
export const BudgetWindow = z.enum(['minute', 'hour', 'day']);
export type BudgetWindow = z.infer<typeof BudgetWindow>;

/** What may be spent in a window: when it is, calls are refused until the next one begins. */
export const Budget = z
  .strictObject({
    per: BudgetWindow,
    /** Of prompts and answers. */
    tokens: z.int().positive().optional(),
    /** In the unit of money that the upstreams' prices are in. */
    money: z.number().positive().optional(),
  })
  .refine(({ tokens, money }) => tokens !== undefined || money !== undefined, {
    message: 'expected tokens, money or both',
  });
export type Budget = z.infer<typeof Budget>;

/** What one agent may ask of upstreams. */
export const AgentLimits = z.strictObject({
  requestsPerMinute: z.number().positive().optional(),
  /** Of prompts and answers. */
  tokensPerMinute: z.number().positive().optional(),
  budgets: z.array(Budget).max(10).default([]),
});
export type AgentLimits = z.infer<typeof AgentLimits>;

/** What agents may ask of upstreams; without any, whatever they like. */
export const LimitsConfig = z.strictObject({
  /** For each agent that is not named; each has its own. */
  default: AgentLimits.optional(),
  agents: z.record(Name, AgentLimits).default({}),
});
export type LimitsConfig = z.infer<typeof LimitsConfig>;

import { z } from 'zod';
import { Name } from '../../schemas/ids';
import { AgentSpending } from './spending';

/** What one process has spent, by agent. */
export const ProcessSpending = z.strictObject({
  formatVersion: z.literal(1),
  agents: z.record(Name, AgentSpending),
});
export type ProcessSpending = z.infer<typeof ProcessSpending>;

/**
 * Where processes keep what they have spent, for each other and for those that come after them: a budget that forgets when its process
 * restarts is none. src/adapters/spending-ledger/ has the one in a folder.
 */
export interface SpendingLedger {
  /** What other processes have spent, dead ones included, by a name for each, as last read. A new map whenever anything has changed. */
  others(): ReadonlyMap<string, ProcessSpending>;
  /** What this process has spent; written soon, by the last call's content. */
  publish(own: () => ProcessSpending): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

/** Of a process that shares its limits with nobody, and forgets. */
export const NO_LEDGER: SpendingLedger = {
  others: () => NONE,
  publish: () => undefined,
  close: async () => undefined,
};
const NONE: ReadonlyMap<string, ProcessSpending> = new Map();

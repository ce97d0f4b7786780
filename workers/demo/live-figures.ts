import { setTimeout as wait } from 'node:timers/promises';
import { IntegrityError, TransientError } from '../../src/errors';
import type { Decision } from '../../src/schemas/decision';
import type { ObjectStore } from '../../src/storage/object-store';
import { readLiveDecisions } from '../../src/trajectories/read-live-decisions';
import { serveCustomers, type LiveTraffic } from './live-traffic';

/** What a model did for customers, as the gateway that served them recorded it. */
export interface LiveFigures {
  /** Share of the customers who were helped. */
  readonly resolution: number;
  /** Mean, in millionths. */
  readonly costPerCall: number;
  /** Who chose; empty where the agent did. */
  readonly checkpoints: readonly string[];
}

export interface MeasuredTraffic extends Omit<LiveTraffic, 'onServed'> {
  readonly hasHelped: (task: LiveTraffic['tasks'][number], result: unknown) => boolean;
  /** In whose name the key is. */
  readonly agentName: string;
  /** Where the gateway records. */
  readonly store: ObjectStore;
}

const DRAINED_WITHIN_MS = 60_000;

/**
 * Serves customers live, and reads what that cost from the decisions that were recorded. Nobody else may ask in the agent's name meanwhile.
 *
 * @throws {TransientError} if not all calls are recorded a minute later. @throws {IntegrityError} for one without a cost.
 */
export async function measureLive(traffic: MeasuredTraffic): Promise<LiveFigures> {
  const { tasks, hasHelped, agentName: agent, store } = traffic;
  const fromMs = Date.now();
  let resolved = 0;
  await serveCustomers({
    ...traffic,
    onServed(task, result) {
      if (hasHelped(task, result)) resolved += 1;
    },
  });
  const toMs = Date.now() + 1;
  const decisions = await recorded(store, { agent, fromMs, toMs }, tasks.length);
  const costs = decisions.map(({ id, costMicros }) => {
    if (costMicros !== undefined) return costMicros;
    throw new IntegrityError('a decision has no cost: expected prices of its upstream’s model', {
      context: { decision: id },
    });
  });
  return {
    resolution: resolved / tasks.length,
    costPerCall: costs.reduce((sum, cost) => sum + cost, 0) / costs.length,
    checkpoints: [...new Set(decisions.flatMap(({ checkpoint }) => checkpoint ?? []))],
  };
}

/** The decisions of a time that is over, once the gateway's spool is drained. */
async function recorded(
  store: ObjectStore,
  range: { readonly agent: string; readonly fromMs: number; readonly toMs: number },
  expected: number,
): Promise<Decision[]> {
  const deadline = performance.now() + DRAINED_WITHIN_MS;
  for (;;) {
    const decisions: Decision[] = [];
    for await (const { decision } of readLiveDecisions(store, { ...range, asOfMs: range.toMs })) {
      decisions.push(decision);
    }
    if (decisions.length >= expected) return decisions;
    if (performance.now() > deadline) {
      throw new TransientError(
        `live calls are not recorded: expected ${expected} decisions of ${range.agent}, got ${decisions.length}`,
      );
    }
    await wait(500);
  }
}

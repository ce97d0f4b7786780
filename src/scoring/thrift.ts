import { InvalidInputError } from '../errors';
import type { Decision } from '../schemas/decision';
import type { Scorer } from './scorer';

/** The scorer of what answers cost. */
export const THRIFT = 'thrift';

/**
 * What a decision cost, in millionths of the unit of the gateway's prices. An answer of the policy's own costs nothing.
 *
 * @returns null where an upstream answered and nobody knows at what price.
 */
export function costOf({ costMicros, upstream }: Decision): number | null {
  return costMicros ?? (upstream === undefined ? 0 : null);
}

/**
 * 1 for what costs nothing, 0 for what costs `costPerCall` or more: with the weights {resolution: 1, thrift: λ} the composed reward is
 * resolution − λ · cost / costPerCall, moved and scaled into [0, 1]. So λ is what a whole call's cost is worth in resolved requests:
 * at 0.1, ten calls saved are worth one request that was not resolved.
 */
export function thriftOf(cost: number, costPerCall: number): number {
  return 1 - Math.min(1, cost / costPerCall);
}

/** The same as a scorer of rollouts: of all calls of an attempt together. */
export function createThriftScorer(costPerCall: number): Scorer {
  return {
    name: THRIFT,
    version: `1-${costPerCall}`,
    score({ trajectory }) {
      let sum = 0;
      for (const decision of trajectory.decisions) {
        const cost = costOf(decision);
        if (cost === null) {
          throw new InvalidInputError(
            'the cost of a call is not known: expected a price of the upstream’s model in the gateway’s configuration',
            { context: { upstream: decision.upstream?.name, model: decision.upstream?.model } },
          );
        }
        sum += cost;
      }
      return thriftOf(sum, costPerCall);
    },
  };
}

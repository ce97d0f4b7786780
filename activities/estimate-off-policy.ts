import type { z } from 'zod';
import { probabilitiesOf } from '../src/policies/choice/probabilities';
import type { TensorRuntime } from '../src/ports/tensor-runtime';
import { readFeedback } from '../src/rollouts/read-feedback';
import type { OffPolicy } from '../src/schemas/off-policy';
import { EstimateOffPolicyInput } from '../src/schemas/stages';
import { estimateOffPolicy } from '../src/stats/off-policy';
import { readCheckpoint } from '../src/storage/checkpoints';
import type { ObjectStore } from '../src/storage/object-store';
import { startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';

export interface OffPolicyDeps {
  readonly store: ObjectStore;
  readonly runtime: TensorRuntime;
}

export interface OffPolicyActivities {
  estimateOffPolicy(input: z.input<typeof EstimateOffPolicyInput>): Promise<OffPolicy>;
}

/** One-sided, of each bound. */
const CONFIDENCE = 0.95;

/** What a candidate would have earned on live decisions that another checkpoint took: before any of its own reaches a caller. */
export function createOffPolicyActivities({ store, runtime }: OffPolicyDeps): OffPolicyActivities {
  return {
    async estimateOffPolicy(rawInput) {
      const input = parseActivityInput(EstimateOffPolicyInput, rawInput, 'estimateOffPolicy');
      const heartbeat = startHeartbeat({ estimating: input.candidate });
      try {
        const { files } = await readCheckpoint(store, input.candidate);
        const feedback = await readFeedback(store, input, files);
        const probabilities = await probabilitiesOf(runtime, files, feedback);
        return estimateOffPolicy(
          feedback.map(({ propensity, reward }, i) => ({
            ...{ propensity, reward },
            probability: probabilities[i] as number,
          })),
          { confidence: CONFIDENCE },
        );
      } finally {
        heartbeat.stop();
      }
    },
  };
}

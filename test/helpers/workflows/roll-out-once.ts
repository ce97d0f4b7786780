import { proxyActivities } from '@temporalio/workflow';
import type { RolloutActivities } from '../../../activities/rollout';
import type { RollOutInput, RollOutResult } from '../../../src/schemas/stages';

/** One rollout activity, as the real workflows run it, but for a dead worker being noticed sooner. */
export async function rollOutOnce(taskQueue: string, input: RollOutInput): Promise<RollOutResult> {
  const { rollOut } = proxyActivities<RolloutActivities>({
    taskQueue,
    startToCloseTimeout: '10m',
    heartbeatTimeout: '4s',
    retry: { initialInterval: '100ms', backoffCoefficient: 1, maximumAttempts: 5 },
  });
  return rollOut(input);
}

import { proxyActivities, workflowInfo, type ActivityInterfaceFor } from '@temporalio/workflow';
import type { CollectLiveActivities } from '../activities/collect-live';
import type { EvaluateActivities } from '../activities/evaluate';
import type { OffPolicyActivities } from '../activities/estimate-off-policy';
import type { PromoteActivities } from '../activities/promote';
import type { RolloutActivities } from '../activities/rollout';
import type { ScoreActivities } from '../activities/score';
import type { TrainActivities } from '../activities/train';
import { HEARTBEAT_TIMEOUT_MS, RETRIES } from '../src/loop/retries';
import { taskQueues } from '../src/loop/task-queues';

/**
 * For what no activity can say itself: that its worker is gone. Failures bring their own waits and their end, by class
 * (activities/failure.ts); then the run asks a person.
 */
const retry = {
  initialInterval: RETRIES.WorkerLost.firstMs,
  backoffCoefficient: 2,
  maximumInterval: RETRIES.WorkerLost.longestMs,
  maximumAttempts: RETRIES.WorkerLost.attempts,
};

export interface ActivityProxies {
  /** Short work, on the workflows' own queue. */
  readonly control: ActivityInterfaceFor<EvaluateActivities & PromoteActivities>;
  readonly rollout: ActivityInterfaceFor<
    RolloutActivities & ScoreActivities & CollectLiveActivities & OffPolicyActivities
  >;
  readonly gpu: ActivityInterfaceFor<TrainActivities>;
}

/** Queues are named after the queue that the workflow itself runs on. */
export function activityProxies(): ActivityProxies {
  const queues = taskQueues(workflowInfo().taskQueue);
  return {
    control: proxyActivities<EvaluateActivities & PromoteActivities>({
      taskQueue: queues.control,
      startToCloseTimeout: '10m', // a comparison of 100,000 tasks takes seconds; a slow store is retried, not awaited
      heartbeatTimeout: HEARTBEAT_TIMEOUT_MS,
      retry,
    }),
    rollout: proxyActivities<
      RolloutActivities & ScoreActivities & CollectLiveActivities & OffPolicyActivities
    >({
      taskQueue: queues.rollout,
      startToCloseTimeout: '6h', // the worst case of a large batch of slow agents
      heartbeatTimeout: HEARTBEAT_TIMEOUT_MS,
      retry,
    }),
    gpu: proxyActivities<TrainActivities>({
      taskQueue: queues.gpu,
      startToCloseTimeout: '12h',
      heartbeatTimeout: HEARTBEAT_TIMEOUT_MS,
      retry,
    }),
  };
}

import { proxyActivities, workflowInfo, type ActivityInterfaceFor } from '@temporalio/workflow';
import type { EvaluateActivities } from '../activities/evaluate';
import type { PromoteActivities } from '../activities/promote';
import type { RolloutActivities } from '../activities/rollout';
import type { ScoreActivities } from '../activities/score';
import type { TrainActivities } from '../activities/train';
import { taskQueues } from '../src/loop/task-queues';

/** Only retryable failures are retried (activities/failure.ts decides by class); then the run asks a person. */
const retry = {
  initialInterval: '1s',
  backoffCoefficient: 2,
  maximumInterval: '30s',
  maximumAttempts: 5,
};

export interface ActivityProxies {
  /** Short work, on the workflows' own queue. */
  readonly control: ActivityInterfaceFor<EvaluateActivities & PromoteActivities>;
  readonly rollout: ActivityInterfaceFor<RolloutActivities & ScoreActivities>;
  readonly gpu: ActivityInterfaceFor<TrainActivities>;
}

/** Queues are named after the queue that the workflow itself runs on. */
export function activityProxies(): ActivityProxies {
  const queues = taskQueues(workflowInfo().taskQueue);
  return {
    control: proxyActivities<EvaluateActivities & PromoteActivities>({
      taskQueue: queues.control,
      startToCloseTimeout: '10m', // a comparison of 100,000 tasks takes seconds; a slow store is retried, not awaited
      heartbeatTimeout: '30s',
      retry,
    }),
    rollout: proxyActivities<RolloutActivities & ScoreActivities>({
      taskQueue: queues.rollout,
      startToCloseTimeout: '6h', // the worst case of a large batch of slow agents
      heartbeatTimeout: '15s', // a dead worker is noticed within this time
      retry,
    }),
    gpu: proxyActivities<TrainActivities>({
      taskQueue: queues.gpu,
      startToCloseTimeout: '12h',
      heartbeatTimeout: '15s',
      retry,
    }),
  };
}

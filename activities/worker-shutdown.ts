import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';

/** The type of the failure with which an activity is handed over; Temporal's own core uses the same name. */
export const WORKER_SHUTDOWN = 'WorkerShutdown';

/** Long enough that the worker which hands over has stopped polling. */
const NEXT_ATTEMPT_AFTER = '200ms';

/**
 * Why an activity ends that its worker hands over: the server gives it to another worker at once, with what the last
 * heartbeat said, instead of waiting for a time-out. It is nobody's fault, so it counts as no failure in metrics.
 */
export function workerShutdown(): ApplicationFailure {
  return ApplicationFailure.create({
    message: 'the worker was told to stop; another one goes on from what this one has kept',
    type: WORKER_SHUTDOWN,
    nonRetryable: false,
    nextRetryDelay: NEXT_ATTEMPT_AFTER,
    category: ApplicationFailureCategory.BENIGN,
  });
}

import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowFailure,
  condition,
  isCancellation,
  setHandler,
} from '@temporalio/workflow';
import { retrySignal } from './messages';

/** Thrown out of a step that a person gave up on with `stop`. */
export class StepAbandoned extends Error {}

export interface Attention {
  /**
   * Runs a step. When its retries are used up, the workflow does not fail: it says what happened and waits for the
   * signal `retry`, so hours of finished work are kept. Bad input is a failure of the workflow: retrying cannot mend it.
   */
  readonly attend: <T>(step: string, run: () => Promise<T>) => Promise<T>;
  /** Waits for a person although nothing failed. */
  readonly ask: (step: string, reason: string) => Promise<void>;
}

interface Hooks {
  readonly onWaiting: (step: string, reason: string) => void;
  /** Whether a person wants to leave the step instead of retrying it. */
  readonly isAbandoned: () => boolean;
}

/** The reason of a failure: its innermost cause, which the activity's error named. */
function reasonOf(failure: Error): string {
  let cause: Error = failure;
  while (cause.cause instanceof Error) cause = cause.cause;
  return cause.message;
}

function isBadInput(failure: Error): boolean {
  let cause: unknown = failure;
  while (cause instanceof Error) {
    if (cause instanceof ApplicationFailure && cause.type === 'InvalidInput') return true;
    cause = cause.cause;
  }
  return false;
}

export function createAttention({ onWaiting, isAbandoned }: Hooks): Attention {
  let retries = 0;
  setHandler(retrySignal, () => void (retries += 1), {
    description: 'Continue a workflow that needs attention.',
  });

  const ask = async (step: string, reason: string): Promise<void> => {
    const before = retries;
    onWaiting(step, reason);
    await condition(() => retries > before || isAbandoned());
    if (retries === before) throw new StepAbandoned(step);
  };

  return {
    ask,
    attend: async (step, run) => {
      for (;;) {
        try {
          return await run();
        } catch (error) {
          const isFailedStep =
            error instanceof ActivityFailure || error instanceof ChildWorkflowFailure;
          if (!isFailedStep || isCancellation(error)) throw error;
          if (isBadInput(error))
            throw ApplicationFailure.nonRetryable(reasonOf(error), 'InvalidInput');
          await ask(step, reasonOf(error));
        }
      }
    },
  };
}

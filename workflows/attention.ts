import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  getExternalWorkflowHandle,
  log,
  patched,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import {
  ChildAttention,
  unattendedNote,
  UnattendedQueue,
  withAttended,
  withUnattended,
  type AttentionNote,
} from '../src/loop/attention';
import { retryLine } from '../src/loop/render';
import { afterRetries } from '../src/loop/retries';
import {
  childAttentionSignal,
  queueAttendedSignal,
  queueUnattendedSignal,
  retrySignal,
} from './messages';

/** Thrown out of a step that a person gave up on with `stop`. */
export class StepAbandoned extends Error {
  constructor(
    readonly step: string,
    readonly reason: string,
  ) {
    super(`${step} was given up: ${reason}`);
  }
}

export interface Attention {
  /**
   * Runs a step. When its retries are used up, the workflow does not fail: it says what happened and waits for the
   * signal `retry`, so hours of finished work are kept. Bad input is a failure of the workflow: retrying cannot mend it.
   * What a child workflow of the step waits for shows here too.
   *
   * @throws {StepAbandoned} if `stop` gives it up while it waits; what runs of it is cancelled.
   */
  readonly attend: <T>(step: string, run: () => Promise<T>) => Promise<T>;
  /** Waits for a person although nothing failed. */
  readonly ask: (step: string, reason: string) => Promise<void>;
  /** Whether a `stop` came since there is something to wait for: the step is to be left, not retried. */
  readonly isGivenUp: () => boolean;
  /** What this workflow waits for somebody to do; null while it gets on by itself. */
  readonly note: () => AttentionNote | null;
  /** The queues that nobody polls while work of this workflow waits there. */
  readonly unattended: () => readonly UnattendedQueue[];
  /** The workflow has got on, so somebody polled: whatever is still unattended will be reported anew. */
  readonly gotOn: () => void;
}

interface Hooks {
  /** The note changed. */
  readonly onChange: () => void;
  /** What the workflow is doing, for the note on a queue that nobody polls. */
  readonly step: () => string;
  /** How often `stop` was sent; a workflow without that signal answers 0. */
  readonly stops: () => number;
}

/** The reason of a failure: its innermost cause, which the activity's error named. */
export function reasonOf(failure: unknown): string {
  if (failure instanceof WorkflowExecutionAlreadyStartedError)
    return `the workflow ${failure.workflowId} is still open, and was not started here`;
  let cause = failure;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
}

/** Whether the failure is one that retrying cannot mend, at whatever depth it was named. */
function isFatal(failure: Error): boolean {
  let cause: unknown = failure;
  while (cause instanceof Error) {
    if (cause instanceof ApplicationFailure && afterRetries(cause.type) === 'fail') return true;
    cause = cause.cause;
  }
  return false;
}

/** Failures of a step, and not of the workflow's own code; a child that somebody cancelled or terminated by hand among them. */
function isFailedStep(error: unknown): error is Error {
  return (
    error instanceof ActivityFailure ||
    error instanceof ChildWorkflowFailure ||
    error instanceof WorkflowExecutionAlreadyStartedError
  );
}

export function createAttention({ onChange, step: currentStep, stops }: Hooks): Attention {
  const { workflowId, parent, taskQueue } = workflowInfo();
  let retries = 0;
  let parked: AttentionNote | null = null;
  let child: { readonly workflowId: string; readonly note: AttentionNote } | null = null;
  let unattended: readonly UnattendedQueue[] = [];
  let stopsBeforeNote: number | null = null;

  const note = (): AttentionNote | null => {
    if (parked !== null) return parked;
    if (child !== null) return child.note;
    const [first] = unattended;
    return first === undefined ? null : unattendedNote(currentStep(), first, taskQueue);
  };

  /** The run or promotion that waits for this evaluation shows what it waits for. */
  const tellParent = (): void => {
    if (parent === undefined || !patched('tell-parent')) return;
    const message: ChildAttention = { workflowId, note: note() };
    getExternalWorkflowHandle(parent.workflowId, parent.runId)
      .signal(childAttentionSignal, message)
      // Gone, or going: then this workflow is ended by its parent's end, or nobody wants to know.
      .catch((error: unknown) => log.warn('the parent was not told', { error: String(error) }));
  };
  const changed = (): void => {
    stopsBeforeNote = note() === null ? null : (stopsBeforeNote ?? stops());
    onChange();
    tellParent();
  };
  const isGivenUp = (): boolean => stopsBeforeNote !== null && stops() > stopsBeforeNote;

  setHandler(
    retrySignal,
    () => {
      retries += 1;
      if (parked !== null || child === null) return;
      getExternalWorkflowHandle(child.workflowId)
        .signal(retrySignal)
        .catch((error: unknown) => log.warn('the child was not told', { error: String(error) }));
    },
    { description: 'Continue a workflow that needs attention.' },
  );
  setHandler(
    childAttentionSignal,
    (payload) => {
      const parsed = ChildAttention.safeParse(payload);
      if (!parsed.success) return; // internal: nobody waits for an answer
      const { workflowId: from, note: told } = parsed.data;
      child = told === null ? null : { workflowId: from, note: told };
      changed();
    },
    { description: 'Internal: what a child workflow waits for.' },
  );
  const setUnattended = (next: readonly UnattendedQueue[]): void => {
    if (next === unattended) return;
    unattended = next;
    changed();
  };
  setHandler(
    queueUnattendedSignal,
    (payload) => {
      const parsed = UnattendedQueue.safeParse(payload);
      if (parsed.success) setUnattended(withUnattended(unattended, parsed.data));
    },
    { description: 'Internal: nobody polls a queue on which work waits.' },
  );
  setHandler(
    queueAttendedSignal,
    (payload) => {
      const parsed = UnattendedQueue.pick({ queue: true }).safeParse(payload);
      if (parsed.success) setUnattended(withAttended(unattended, parsed.data.queue));
    },
    { description: 'Internal: a queue is polled again.' },
  );

  const ask = async (step: string, reason: string): Promise<void> => {
    const before = retries;
    // A `stop` from before meant to finish the iteration: only one that is sent now gives the step up.
    const stopsBefore = stops() > 0 && !patched('stop-while-parked') ? 0 : stops();
    const isAbandoned = (): boolean => stops() > stopsBefore;
    child = null; // if there was one, it is over
    parked = { step, reason, line: retryLine(workflowId) };
    changed();
    await condition(() => retries > before || isAbandoned());
    parked = null;
    stopsBeforeNote = null;
    if (retries === before) throw new StepAbandoned(step, reason);
    if (patched('phase-after-retry')) changed();
  };

  /** Runs a step until it ends, or until a `stop` gives up what waits for somebody. */
  const runStep = async <T>(step: string, run: () => Promise<T>): Promise<T> => {
    const scope = new CancellationScope();
    let isSettled = false;
    const result = scope.run(run).finally(() => (isSettled = true));
    result.catch(() => undefined); // it is awaited below; until then it must not count as unhandled
    // Our own cancellation reaches the step through its scope, and the step's end is what is waited for.
    await CancellationScope.nonCancellable(() => condition(() => isSettled || isGivenUp()));
    if (isSettled) return result;
    const reason = note()?.reason ?? '';
    scope.cancel();
    await result.catch(() => undefined);
    throw new StepAbandoned(step, reason);
  };

  const attend: Attention['attend'] = async (step, run) => {
    for (;;) {
      try {
        return await runStep(step, run);
      } catch (error) {
        // Cancelled ourselves, and not only a step of ours.
        if (CancellationScope.current().consideredCancelled || !isFailedStep(error)) throw error;
        if (isFatal(error)) throw ApplicationFailure.nonRetryable(reasonOf(error), 'InvalidInput');
        await ask(step, reasonOf(error));
      }
    }
  };

  return {
    ask,
    attend,
    isGivenUp,
    note,
    unattended: () => unattended,
    gotOn: () => {
      child = null;
      stopsBeforeNote = null;
      if (unattended.length === 0) return;
      unattended = [];
      tellParent();
    },
  };
}

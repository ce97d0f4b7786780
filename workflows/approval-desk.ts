import { ApplicationFailure, condition, setHandler } from '@temporalio/workflow';
import { z } from 'zod';
import { decideReview, type ApprovalState, type ReviewOutcome } from '../src/loop/approval';
import {
  type ApprovalRecord,
  type ApprovalRequest,
  Review,
  Verdict,
} from '../src/schemas/approval';
import { approveSignal, rejectSignal, reviewUpdate } from './messages';

export interface ApprovalDesk {
  /** Asks, and waits for an accepted decision or the deadline. @returns null if nobody decided in time. */
  ask(request: ApprovalRequest): Promise<ApprovalRecord | null>;
}

interface DeskOptions {
  readonly approvers: readonly string[];
  /** A signal has no answer: its refusal has to show elsewhere. */
  readonly onRefused: (message: string, reason: string) => void;
}

/** The handlers of `approve`, `reject` and `review`. Bound to the candidate's digest by src/loop/approval.ts. */
export function createApprovalDesk({ approvers, onRefused }: DeskOptions): ApprovalDesk {
  let state: ApprovalState = { kind: 'not-asked' };

  const decide = (review: Review, via: ApprovalRecord['via']): ReviewOutcome =>
    decideReview(state, approvers, review, via, Date.now());

  const takeSignal = (name: string, decision: Review['decision'], payload: unknown): void => {
    const verdict = Verdict.safeParse(payload);
    if (!verdict.success) {
      onRefused(name, z.prettifyError(verdict.error));
      return;
    }
    const outcome = decide({ ...verdict.data, decision }, 'signal');
    if (outcome.kind === 'accepted') state = { kind: 'decided', record: outcome.record };
    else onRefused(name, outcome.reason);
  };

  /** Refusals reach the sender as the update's failure. */
  const accepted = (payload: unknown): ApprovalRecord => {
    const review = Review.safeParse(payload);
    if (!review.success)
      throw ApplicationFailure.nonRetryable(z.prettifyError(review.error), 'InvalidInput');
    const outcome = decide(review.data, 'update');
    if (outcome.kind === 'refused')
      throw ApplicationFailure.nonRetryable(outcome.reason, outcome.code);
    return outcome.record;
  };

  setHandler(approveSignal, (payload) => takeSignal('approve', 'approve', payload), {
    description:
      'Approve the candidate: {"candidate":"<digest or its first 12 digits>","by":"<approver>"}',
  });
  setHandler(rejectSignal, (payload) => takeSignal('reject', 'reject', payload), {
    description:
      'Reject the candidate: {"candidate":"<digest or its first 12 digits>","by":"<approver>"}',
  });
  setHandler(
    reviewUpdate,
    (payload) => {
      const record = accepted(payload);
      state = { kind: 'decided', record };
      return { decision: record.decision, candidate: record.request.candidate, by: record.by };
    },
    {
      // Synchronous on purpose: the SDK does not await a validator, so an async one would accept everything.
      validator: (payload) => void accepted(payload),
      description:
        'Decide, and be told: {"candidate":"<digest>","by":"<approver>","decision":"approve"|"reject"}',
    },
  );

  return {
    async ask(request) {
      state = { kind: 'open', request };
      const isDecided = (): boolean => state.kind === 'decided';
      await condition(isDecided, Math.max(1, Date.parse(request.deadline) - Date.now()));
      const after = state as ApprovalState; // assigned in handlers while we waited
      if (after.kind === 'decided') return after.record;
      state = { kind: 'expired', request };
      return null;
    },
  };
}

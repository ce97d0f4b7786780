import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { AttentionNote, ChildAttention, UnattendedQueue } from '../src/loop/attention';
import type { PromotionSettled, PromotionStatus } from '../src/loop/promotion-state';
import type { RunStatus } from '../src/loop/run-state';
import type { Champion, EvaluationSummary } from '../src/schemas/stages';

/**
 * Names and types of all messages. Payloads come from people and the CLI, so handlers take `unknown` and parse it: a
 * handler that throws would block the workflow.
 */
export const approveSignal = defineSignal<[unknown]>('approve');
export const rejectSignal = defineSignal<[unknown]>('reject');
export const pauseSignal = defineSignal('pause');
export const resumeSignal = defineSignal('resume');
export const stopSignal = defineSignal('stop');
export const retrySignal = defineSignal('retry');
export const rollbackSignal = defineSignal<[unknown]>('rollback');

export interface ReviewAnswer {
  readonly decision: 'approve' | 'reject';
  readonly candidate: string;
  readonly by: string;
}
export const reviewUpdate = defineUpdate<ReviewAnswer, [unknown]>('review');

export const statusQuery = defineQuery<RunStatus>('status');
export const promotionStatusQuery = defineQuery<PromotionStatus>('status');

/** From the watch of the queues (workers/queue-watch.ts), on transitions only. */
export const queueUnattendedSignal = defineSignal<[UnattendedQueue]>('queueUnattended');
export const queueAttendedSignal = defineSignal<[Pick<UnattendedQueue, 'queue'>]>('queueAttended');

/** From an evaluation to the run or promotion that waits for it. */
export const childAttentionSignal = defineSignal<[ChildAttention]>('childAttention');

/** From a promotion to the run that started it. */
export const promotionSettledSignal = defineSignal<[PromotionSettled]>('promotionSettled');

/** To a promotion that only watches: a newer approved candidate is about to take over. */
export const concludeSignal = defineSignal<[string]>('conclude');

/** What the workflow `evaluation` returns: the result, and the champion at the time it was opened. */
export interface EvaluationResult {
  readonly summary: EvaluationSummary;
  readonly champion: Champion;
}
export interface EvaluationStatus {
  readonly policy: string;
  readonly phase: string;
  readonly summary: EvaluationSummary | null;
  /** What it waits for somebody to do, and the line that does it; null while it gets on by itself. */
  readonly attention: AttentionNote | null;
  readonly unattended: readonly UnattendedQueue[];
}
export const evaluationStatusQuery = defineQuery<EvaluationStatus>('status');

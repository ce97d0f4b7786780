import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { RunStatus } from '../src/loop/run-state';
import type { PromotionStatus } from '../src/loop/promotion-state';
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

/** From a promotion to the run that started it. */
export type PromotionSettled =
  | { readonly kind: 'promoted'; readonly champion: Champion }
  | { readonly kind: 'stale'; readonly champion: Champion };
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
}
export const evaluationStatusQuery = defineQuery<EvaluationStatus>('status');

import { z } from 'zod';
import type { ApprovalRecord, ApprovalRequest } from '../schemas/approval';
import type { Digest } from '../schemas/ids';
import { Champion, type EvaluationSummary } from '../schemas/stages';
import type { AttentionNote, UnattendedQueue } from './attention';
import type { Refusal } from './refusals';

/** How a promotion ended. */
export type PromotionOutcome =
  | { readonly kind: 'kept'; readonly champion: Champion; readonly because: string }
  | {
      readonly kind: 'rolled-back';
      readonly champion: Champion;
      readonly by: string;
      readonly reason: string;
    }
  | { readonly kind: 'stale'; readonly champion: Champion }
  | { readonly kind: 'gate-not-passed'; readonly reasons: readonly string[] }
  | { readonly kind: 'rejected'; readonly by: string }
  | { readonly kind: 'approval-expired'; readonly deadline: string };

/** What a promotion tells the run that started it. */
export const PromotionSettled = z.strictObject({
  kind: z.enum(['promoted', 'stale']),
  champion: Champion,
});
export type PromotionSettled = z.infer<typeof PromotionSettled>;

/** What the end of a promotion says to a run that never heard from it otherwise; null if nothing was decided about the pointer. */
export function settledBy(outcome: PromotionOutcome): PromotionSettled | null {
  switch (outcome.kind) {
    case 'kept':
    case 'rolled-back':
      return { kind: 'promoted', champion: outcome.champion };
    case 'stale':
      return { kind: 'stale', champion: outcome.champion };
    case 'gate-not-passed':
    case 'rejected':
    case 'approval-expired':
      return null;
  }
}

/** Where a promotion is. Canary stages come between `promoting` and `watching`. */
export type PromotionPhase =
  | { readonly kind: 'gating' }
  | { readonly kind: 'awaiting-approval'; readonly request: ApprovalRequest }
  | { readonly kind: 'promoting' }
  | { readonly kind: 'watching'; readonly champion: Champion; readonly until: string }
  | { readonly kind: 'rolling-back'; readonly by: string }
  | ({ readonly kind: 'needs-attention' } & AttentionNote)
  | { readonly kind: 'done'; readonly outcome: PromotionOutcome };

export interface PromotionStatus {
  readonly policy: string;
  readonly candidate: Digest;
  readonly phase: PromotionPhase;
  readonly approval: ApprovalRecord | null;
  readonly gate: EvaluationSummary | null;
  readonly refusals: readonly Refusal[];
  /** Queues that nobody polls while work of this promotion waits there. */
  readonly unattended: readonly UnattendedQueue[];
}

/** The value of the search attribute RatchetPhase. */
export function promotionPhaseName(phase: PromotionPhase): string {
  return phase.kind === 'done' ? phase.outcome.kind : phase.kind;
}

import type { ApprovalRecord, ApprovalRequest } from '../schemas/approval';
import type { Digest } from '../schemas/ids';
import type { Champion, EvaluationSummary } from '../schemas/stages';
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

/** Where a promotion is. Canary stages come between `promoting` and `watching`. */
export type PromotionPhase =
  | { readonly kind: 'gating' }
  | { readonly kind: 'awaiting-approval'; readonly request: ApprovalRequest }
  | { readonly kind: 'promoting' }
  | { readonly kind: 'watching'; readonly champion: Champion; readonly until: string }
  | { readonly kind: 'rolling-back'; readonly by: string }
  | { readonly kind: 'needs-attention'; readonly step: string; readonly reason: string }
  | { readonly kind: 'done'; readonly outcome: PromotionOutcome };

export interface PromotionStatus {
  readonly policy: string;
  readonly candidate: Digest;
  readonly phase: PromotionPhase;
  readonly approval: ApprovalRecord | null;
  readonly gate: EvaluationSummary | null;
  readonly refusals: readonly Refusal[];
}

/** The value of the search attribute RatchetPhase. */
export function promotionPhaseName(phase: PromotionPhase): string {
  return phase.kind === 'done' ? phase.outcome.kind : phase.kind;
}

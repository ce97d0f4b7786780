import type { ApprovalRecord, ApprovalRequest, Review } from '../schemas/approval';
import { namesDigest, shortDigest } from '../schemas/ids';

/** Where the question to a human stands. */
export type ApprovalState =
  | { readonly kind: 'not-asked' }
  | { readonly kind: 'open'; readonly request: ApprovalRequest }
  | { readonly kind: 'decided'; readonly record: ApprovalRecord }
  | { readonly kind: 'expired'; readonly request: ApprovalRequest };

export type ReviewOutcome =
  | { readonly kind: 'accepted'; readonly record: ApprovalRecord }
  | {
      readonly kind: 'refused';
      readonly code: 'not-asked' | 'already-decided' | 'late' | 'stranger' | 'other-candidate';
      readonly reason: string;
    };

const refused = (
  code: Extract<ReviewOutcome, { kind: 'refused' }>['code'],
  reason: string,
): ReviewOutcome => ({ kind: 'refused', code, reason });

/**
 * Decides what a review does. A review counts only for the candidate that is being asked about, by someone who may
 * decide, once, and before the deadline; every refusal says why in words that the sender can act on.
 *
 * @param nowMs milliseconds since the epoch, by the workflow's clock.
 */
export function decideReview(
  state: ApprovalState,
  approvers: readonly string[],
  review: Review,
  via: ApprovalRecord['via'],
  nowMs: number,
): ReviewOutcome {
  switch (state.kind) {
    case 'not-asked':
      return refused(
        'not-asked',
        'nothing awaits approval yet; send it again when the phase is awaiting-approval',
      );
    case 'decided':
      return refused(
        'already-decided',
        `${state.record.by} already decided: ${state.record.decision} ${shortDigest(state.record.request.candidate)}`,
      );
    case 'expired':
      return refused(
        'late',
        `the deadline was ${state.request.deadline}; start a new run or promotion`,
      );
    case 'open': {
      const { request } = state;
      if (!approvers.includes(review.by)) {
        return refused(
          'stranger',
          `${review.by} may not decide; approvers are ${approvers.join(', ')}`,
        );
      }
      if (!namesDigest(review.candidate, request.candidate)) {
        return refused(
          'other-candidate',
          `the candidate is ${shortDigest(request.candidate)}, the review names ${review.candidate}`,
        );
      }
      if (nowMs > Date.parse(request.deadline)) {
        return refused(
          'late',
          `the deadline was ${request.deadline}; start a new run or promotion`,
        );
      }
      return {
        kind: 'accepted',
        record: {
          request,
          decision: review.decision,
          by: review.by,
          ...(review.comment === undefined ? {} : { comment: review.comment }),
          at: new Date(nowMs).toISOString(),
          via,
          authenticated: false, // approval.mode "signal": the name is what the sender says it is
        },
      };
    }
  }
}

import { z } from 'zod';
import { Duration } from './duration';
import { Digest, DigestPrefix } from './ids';

/** Who may approve, how they are known, and until when. */
export const ApprovalConfig = z.strictObject({
  mode: z
    .literal('signal')
    .default('signal')
    .describe(
      'A signal or update through Temporal: as trustworthy as access to its frontend; recorded as unauthenticated.',
    ),
  approvers: z
    .array(z.string().min(1))
    .min(1)
    .describe('The names that may decide; anyone else is refused.'),
  deadline: Duration.default('7d').describe(
    'Without a decision by then the candidate is not promoted.',
  ),
});
export type ApprovalConfig = z.infer<typeof ApprovalConfig>;

/** What a human is asked to approve. If any of it moves, the evidence is stale: evaluate again, ask again. */
export const ApprovalRequest = z.strictObject({
  candidate: Digest,
  evaluation: Digest,
  dataset: Digest,
  champion: z.strictObject({ digest: Digest, generation: z.int().positive() }),
  requestedAt: z.iso.datetime(),
  deadline: z.iso.datetime(),
});
export type ApprovalRequest = z.infer<typeof ApprovalRequest>;

/** The payload of the signals `approve` and `reject`. */
export const Verdict = z.strictObject({
  candidate: DigestPrefix,
  by: z.string().min(1).max(200),
  comment: z.string().max(2000).optional(),
});
export type Verdict = z.infer<typeof Verdict>;

/** The payload of the update `review`. */
export const Review = Verdict.extend({ decision: z.enum(['approve', 'reject']) });
export type Review = z.infer<typeof Review>;

/** The audit record of a decision; it is stored with the promotion. */
export const ApprovalRecord = z.strictObject({
  request: ApprovalRequest,
  decision: z.enum(['approve', 'reject']),
  by: z.string(),
  comment: z.string().optional(),
  at: z.iso.datetime(),
  via: z.enum(['signal', 'update']),
  authenticated: z.boolean(),
});
export type ApprovalRecord = z.infer<typeof ApprovalRecord>;

/** The payload of `rollback`. */
export const RollbackOrder = z.strictObject({
  by: z.string().min(1).max(200),
  reason: z.string().max(2000).default(''),
});
export type RollbackOrder = z.infer<typeof RollbackOrder>;

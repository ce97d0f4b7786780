import { z } from 'zod';
import { ApprovalConfig, ApprovalRecord } from './approval';
import { Duration } from './duration';
import { GateConfig } from './gate-config';
import { Digest, Name } from './ids';
import { RolloutConfig } from './run-config';

const common = {
  policy: Name,
  candidate: Digest,
  watch: Duration.default('24h').describe('How long the promotion stays open for a rollback.'),
};

/**
 * The input of the workflow `promotion`. A training run hands over what was approved; started by hand, without a record,
 * it runs the same gate and asks the same question first.
 */
export const PromotionConfig = z.discriminatedUnion('evidence', [
  z.strictObject({
    evidence: z.literal('approved'),
    ...common,
    approval: ApprovalRecord,
    approvers: z.array(z.string().min(1)).min(1).describe('Who may roll back.'),
  }),
  z.strictObject({
    evidence: z.literal('gather'),
    ...common,
    dataset: Name,
    agent: Name,
    seed: z.int().min(0).max(0xffff_ffff).default(1),
    rollouts: RolloutConfig.prefault({}),
    gate: GateConfig,
    approval: ApprovalConfig,
  }),
]);
export type PromotionConfig = z.infer<typeof PromotionConfig>;

import { z } from 'zod';
import { ApprovalConfig, ApprovalRecord } from './approval';
import { Duration } from './duration';
import { GateConfig } from './gate-config';
import { Digest, Name } from './ids';
import { RolloutConfig } from './run-config';

const common = {
  policy: Name.describe('The policy whose champion is replaced.'),
  candidate: Digest.describe('The checkpoint that becomes champion.'),
  watch: Duration.default('24h').describe('How long the promotion stays open for a rollback.'),
};

/**
 * The input of the workflow `promotion`. A training run hands over what was approved; started by hand, without a record,
 * it runs the same gate and asks the same question first.
 */
export const PromotionConfig = z.discriminatedUnion('evidence', [
  z.strictObject({
    evidence: z.literal('approved').describe('A training run hands over what was approved.'),
    ...common,
    approval: ApprovalRecord.describe('Who approved what, on which evidence.'),
    approvers: z.array(z.string().min(1)).min(1).describe('Who may roll back.'),
  }),
  z.strictObject({
    evidence: z.literal('gather').describe('Started by hand: evaluate and ask first.'),
    ...common,
    dataset: Name.describe('A dataset that the workers have registered.'),
    agent: Name.describe('An agent that the workers have registered.'),
    seed: z
      .int()
      .min(0)
      .max(0xffff_ffff)
      .default(1)
      .describe('Of the rollouts and of the bootstrap.'),
    rollouts: RolloutConfig.prefault({}).describe('How agents are run.'),
    gate: GateConfig.describe('What a candidate has to show before a human is asked.'),
    approval: ApprovalConfig.describe('Who may approve, and until when.'),
  }),
]);
export type PromotionConfig = z.infer<typeof PromotionConfig>;

import {
  condition,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { z } from 'zod';
import {
  promotionPhaseName,
  type PromotionOutcome,
  type PromotionPhase,
  type PromotionSettled,
} from '../src/loop/promotion-state';
import { withRefusal, type Refusal } from '../src/loop/refusals';
import { attentionLines, questionLines, renderPromotion } from '../src/loop/render';
import { runKey } from '../src/loop/run-key';
import { RollbackOrder, type ApprovalRecord, type ApprovalRequest } from '../src/schemas/approval';
import { durationMs } from '../src/schemas/duration';
import { shortDigest } from '../src/schemas/ids';
import { PromotionConfig } from '../src/schemas/promotion-config';
import type { EvaluationSummary } from '../src/schemas/stages';
import { activityProxies } from './activity-proxies';
import { createApprovalDesk, type ApprovalDesk } from './approval-desk';
import { createAttention } from './attention';
import { evaluation } from './evaluation';
import {
  concludeSignal,
  promotionSettledSignal,
  promotionStatusQuery,
  rollbackSignal,
} from './messages';
import { parseInput } from './parse-input';
import { publishSearchAttributes } from './search-attributes';

/**
 * Makes an approved candidate the champion, then watches: until its time is up or a newer candidate takes over, the
 * signal `rollback` brings the previous champion back. One is open per policy, under the id `promotion.<policy>`.
 */
export async function promotion(input: unknown): Promise<PromotionOutcome> {
  const config = parseInput(PromotionConfig, input, 'The promotion’s configuration');
  const info = workflowInfo();
  const proxies = activityProxies();
  const approvers = config.evidence === 'approved' ? config.approvers : config.approval.approvers;

  let phase: PromotionPhase = { kind: 'promoting' };
  let record: ApprovalRecord | null = config.evidence === 'approved' ? config.approval : null;
  let gate: EvaluationSummary | null = null;
  let refusals: Refusal[] = [];
  let order: RollbackOrder | null = null;
  let concluded: string | null = null;
  let hasSearchAttributes = false;

  const attention = createAttention({
    onChange: () => publish(),
    step: () => promotionPhaseName(phase),
    stops: () => 0, // a promotion is cancelled, or rolled back
  });
  const shown = (): PromotionPhase => {
    const note = attention.note();
    return note === null || phase.kind === 'done' ? phase : { kind: 'needs-attention', ...note };
  };
  const show = (): void =>
    setCurrentDetails(
      renderPromotion({
        policy: config.policy,
        workflowId: info.workflowId,
        headline: headline(shown(), info.workflowId, approvers),
        gate,
        refusals,
      }),
    );
  const publish = (): void => {
    show();
    if (!hasSearchAttributes) return;
    publishSearchAttributes({
      policy: config.policy,
      phase: promotionPhaseName(shown()),
      candidate: config.candidate,
    });
  };
  const enter = (next: PromotionPhase): void => {
    phase = next;
    attention.gotOn();
    publish();
  };
  const refuse = (message: string, reason: string): void => {
    refusals = withRefusal(refusals, { message, reason, at: new Date().toISOString() });
    show();
  };

  setHandler(
    promotionStatusQuery,
    () => ({
      policy: config.policy,
      candidate: config.candidate,
      phase: shown(),
      approval: record,
      gate,
      refusals,
      unattended: attention.unattended(),
    }),
    { description: 'Phase, evidence, approval record, refused messages.' },
  );
  setHandler(
    rollbackSignal,
    (payload) => {
      const parsed = RollbackOrder.safeParse(payload);
      if (!parsed.success) return refuse('rollback', z.prettifyError(parsed.error));
      if (!approvers.includes(parsed.data.by)) {
        return refuse(
          'rollback',
          `${parsed.data.by} may not roll back; approvers are ${approvers.join(', ')}`,
        );
      }
      if (phase.kind !== 'watching')
        return refuse('rollback', `nothing was promoted yet (phase ${phase.kind})`);
      order = parsed.data;
    },
    { description: 'Bring the previous champion back: {"by":"<approver>","reason":"…"}' },
  );
  setHandler(
    concludeSignal,
    (because) => {
      if (phase.kind === 'watching') concluded = String(because);
      else refuse('conclude', `only a promotion that watches makes room (phase ${phase.kind})`);
    },
    { description: 'Internal: a newer approved candidate takes over.' },
  );
  // Also without a question of our own the messages must be answered: with a refusal that says so.
  const desk = createApprovalDesk({ approvers, onRefused: refuse });

  const finish = (outcome: PromotionOutcome): PromotionOutcome => {
    enter({ kind: 'done', outcome });
    return outcome;
  };
  const settle = async (outcome: PromotionSettled): Promise<void> => {
    if (info.parent === undefined) return;
    try {
      await getExternalWorkflowHandle(info.parent.workflowId, info.parent.runId).signal(
        promotionSettledSignal,
        outcome,
      );
    } catch (error) {
      if (isCancellation(error)) throw error;
      // The run may have been terminated meanwhile. What was promoted stays promoted; there is nobody left to tell.
      log.warn('the run that started this promotion is gone', { error: String(error) });
    }
  };

  hasSearchAttributes = (
    await attention.attend('opening the promotion', () =>
      proxies.control.openPromotion.executeWithOptions(
        { summary: `check ${config.policy} and its candidate` },
        [{ policy: config.policy, candidate: config.candidate }],
      ),
    )
  ).searchAttributes;

  let evaluations = 0;
  for (;;) {
    if (config.evidence === 'gather') {
      enter({ kind: 'gating' });
      const evidence = await attention.attend('evaluation on gate', () => {
        evaluations += 1;
        return executeChild(evaluation, {
          workflowId: `${info.workflowId}.${info.runId.slice(0, 8)}.gate-${evaluations}`,
          args: [
            {
              policy: config.policy,
              dataset: config.dataset,
              agent: config.agent,
              candidate: config.candidate,
              split: 'gate',
              seed: config.seed,
              rollouts: config.rollouts,
              gate: config.gate,
            },
          ],
        });
      });
      gate = evidence.summary;
      if (gate.decision !== 'pass')
        return finish({ kind: 'gate-not-passed', reasons: gate.reasons });
      const now = Date.now();
      const request: ApprovalRequest = {
        candidate: config.candidate,
        evaluation: gate.evaluation,
        dataset: gate.dataset,
        champion: evidence.champion,
        requestedAt: new Date(now).toISOString(),
        deadline: new Date(now + durationMs(config.approval.deadline)).toISOString(),
      };
      record = await askWhile(desk, request, () => enter({ kind: 'awaiting-approval', request }));
      if (record === null) return finish({ kind: 'approval-expired', deadline: request.deadline });
    }
    if (record === null || record.decision === 'reject') {
      return finish({ kind: 'rejected', by: record?.by ?? 'nobody' });
    }
    const approval = record;
    enter({ kind: 'promoting' });
    const promotionId = runKey(info.workflowId, info.firstExecutionRunId);
    const moved = await attention.attend('promoting', () =>
      proxies.control.promote.executeWithOptions(
        { summary: `make ${shortDigest(config.candidate)} the champion` },
        [{ policy: config.policy, promotionId, approval }],
      ),
    );
    if (moved.kind === 'stale') {
      await settle({ kind: 'stale', champion: moved.champion });
      if (config.evidence === 'gather') continue; // evaluate again, ask again
      return finish({ kind: 'stale', champion: moved.champion });
    }
    await settle({ kind: 'promoted', champion: moved.champion });

    const watchMs = durationMs(config.watch);
    const { champion } = moved;
    enter({ kind: 'watching', champion, until: new Date(Date.now() + watchMs).toISOString() });
    await condition(() => order !== null || concluded !== null, Math.max(1, watchMs));
    const rollback = order as RollbackOrder | null; // assigned in the handler while we waited
    if (rollback === null) {
      return finish({
        kind: 'kept',
        champion,
        because: concluded ?? `watched for ${config.watch}`,
      });
    }
    enter({ kind: 'rolling-back', by: rollback.by });
    const back = await attention.attend('rolling back', () =>
      proxies.control.rollback.executeWithOptions(
        { summary: `take ${shortDigest(champion.digest)} back` },
        [
          {
            policy: config.policy,
            promotionId,
            generation: champion.generation,
            by: rollback.by,
            reason: rollback.reason,
          },
        ],
      ),
    );
    return finish(
      back.kind === 'moved'
        ? { kind: 'rolled-back', champion: back.champion, by: rollback.by, reason: rollback.reason }
        : { kind: 'stale', champion: back.champion },
    );
  }
}

/** Opens the question before it is shown, so that an answer to what is shown is never early. */
async function askWhile(
  desk: ApprovalDesk,
  request: ApprovalRequest,
  show: () => void,
): Promise<ApprovalRecord | null> {
  const answer = desk.ask(request);
  show();
  return answer;
}

function headline(
  phase: PromotionPhase,
  workflowId: string,
  approvers: readonly string[],
): string[] {
  switch (phase.kind) {
    case 'awaiting-approval':
      return questionLines(workflowId, phase.request, approvers);
    case 'watching':
      return [
        `**Champion ${shortDigest(phase.champion.digest)}**, generation ${phase.champion.generation}; watching until ${phase.until}`,
        '',
        'To take it back:',
        '```',
        `temporal workflow signal -w ${workflowId} --name rollback --input '${JSON.stringify({ by: approvers[0] ?? '', reason: '' })}'`,
        '```',
      ];
    case 'needs-attention':
      return attentionLines(phase);
    case 'rolling-back':
      return [`**rolling back**, asked by ${phase.by}`];
    case 'gating':
    case 'promoting':
      return [`**${phase.kind}**`];
    case 'done':
      return [`**${phase.outcome.kind}**`];
  }
}

import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setHandler,
  sleep,
  startChild,
  condition,
} from '@temporalio/workflow';
import type { ApprovalRecord } from '../src/schemas/approval';
import type { Digest } from '../src/schemas/ids';
import { shortDigest } from '../src/schemas/ids';
import type { Attention } from './attention';
import { concludeSignal, promotionSettledSignal, type PromotionSettled } from './messages';
import { promotion } from './promotion';

interface HandOver {
  readonly policy: string;
  readonly candidate: Digest;
  readonly watch: string;
  readonly approval: ApprovalRecord;
  readonly approvers: readonly string[];
}

/** How often an earlier promotion is asked to make room before a person is. */
const ROOM_TRIES = 10;

/**
 * Starts the promotion of what was approved and waits until it has moved the routing pointer, or found it moved. The
 * promotion goes on after that, watching, when this run is long closed.
 */
export async function handOver(attention: Attention, order: HandOver): Promise<PromotionSettled> {
  let settled: PromotionSettled | null = null;
  setHandler(promotionSettledSignal, (outcome) => void (settled = outcome), {
    description: 'Internal: a promotion reports to the run that started it.',
  });
  const workflowId = `promotion.${order.policy}`;

  const start = async (): Promise<{ readonly ended: Promise<unknown> }> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const child = await startChild(promotion, {
          workflowId,
          parentClosePolicy: ParentClosePolicy.ABANDON,
          staticSummary: `${order.policy}: promote ${shortDigest(order.candidate)}`,
          args: [
            {
              evidence: 'approved',
              policy: order.policy,
              candidate: order.candidate,
              watch: order.watch,
              approval: order.approval,
              approvers: [...order.approvers],
            },
          ],
        });
        return { ended: child.result() }; // wrapped: a bare promise would be awaited
      } catch (error) {
        // One promotion per policy: one that only watches makes room for the newer candidate.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        if (attempt % ROOM_TRIES === 0) {
          await attention.ask(
            'promotion',
            `the workflow ${workflowId} is still open and does not make room`,
          );
        }
        await concludeEarlier(workflowId, order.candidate);
        await sleep('1s');
      }
    }
  };

  for (;;) {
    settled = null;
    const { ended } = await start();
    let failure: unknown = null;
    ended.catch((error: unknown) => void (failure = error ?? new Error('the promotion failed')));
    await condition(() => settled !== null || failure !== null);
    if (settled !== null) return settled;
    if (isCancellation(failure)) throw failure;
    await attention.ask('promotion', failure instanceof Error ? failure.message : String(failure));
  }
}

async function concludeEarlier(workflowId: string, candidate: Digest): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowId).signal(
      concludeSignal,
      `superseded by ${shortDigest(candidate)}`,
    );
  } catch (error) {
    if (isCancellation(error)) throw error;
    // It closed between our start and our signal: that is the room we asked for, and the next start will succeed.
  }
}

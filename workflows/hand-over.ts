import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  getExternalWorkflowHandle,
  isCancellation,
  ChildWorkflowCancellationType,
  ParentClosePolicy,
  setHandler,
  sleep,
  startChild,
  condition,
} from '@temporalio/workflow';
import { PromotionSettled, settledBy, type PromotionOutcome } from '../src/loop/promotion-state';
import type { ApprovalRecord } from '../src/schemas/approval';
import type { Digest } from '../src/schemas/ids';
import { shortDigest } from '../src/schemas/ids';
import { reasonOf, StepAbandoned, type Attention } from './attention';
import { concludeSignal, promotionSettledSignal } from './messages';
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
  setHandler(
    promotionSettledSignal,
    (payload) => {
      const outcome = PromotionSettled.safeParse(payload);
      if (outcome.success) settled = outcome.data;
    },
    { description: 'Internal: a promotion reports to the run that started it.' },
  );
  const workflowId = `promotion.${order.policy}`;

  const start = async (): Promise<{ readonly ended: Promise<PromotionOutcome> }> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const child = await startChild(promotion, {
          workflowId,
          parentClosePolicy: ParentClosePolicy.ABANDON,
          cancellationType: ChildWorkflowCancellationType.ABANDON, // what was approved is not taken back by cancelling the run
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
            `the workflow ${workflowId} is still open and does not make room: wait for its end, or cancel it`,
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
    let failure: string | null = null;
    ended
      .then((outcome) => {
        settled ??= settledBy(outcome); // its message was lost
        if (settled === null) failure = `it ended with ${outcome.kind}`;
      })
      // Failed, or cancelled or terminated by hand: it is over, and a person decides whether to start another.
      .catch((error: unknown) => void (failure = reasonOf(error)));
    await condition(() => settled !== null || failure !== null || attention.isGivenUp());
    if (settled !== null) return settled;
    if (failure === null) {
      throw new StepAbandoned(
        'promotion',
        `the workflow ${workflowId} waits, and goes on without this run`,
      );
    }
    await attention.ask('promotion', `the workflow ${workflowId} ended early: ${String(failure)}`);
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

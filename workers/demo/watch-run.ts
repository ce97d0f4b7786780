import type { Client, WorkflowHandle } from '@temporalio/client';
import { evidenceTable } from '../../src/loop/render';
import type { RunOutcome, RunStatus } from '../../src/loop/run-state';
import type { ApprovalRequest } from '../../src/schemas/approval';
import { shortDigest } from '../../src/schemas/ids';
import type { trainingRun } from '../../workflows';
import { reviewUpdate, statusQuery } from '../../workflows/messages';
import { askApproval } from './ask-approval';
import { pendingStage } from './pending-stage';
import type { ProgressView } from './progress-view';

/** In whose name the demos approve. */
export const APPROVER = 'demo-approver';
const POLL_MS = 500;

export interface WatchOptions {
  /** Approve instead of asking. */
  readonly yes: boolean;
}

export interface Watched {
  readonly outcome: RunOutcome;
  readonly status: RunStatus;
}

/** Follows the run to its end; asks when it asks. */
export async function watch(
  client: Client,
  handle: WorkflowHandle<typeof trainingRun>,
  view: ProgressView,
  options: WatchOptions,
  signal: AbortSignal,
  onAsked: (status: RunStatus) => Promise<void>,
): Promise<Watched> {
  let asked = '';
  let attention = '';
  for (;;) {
    signal.throwIfAborted();
    const status = await handle.query(statusQuery);
    const { phase } = status;
    view.show(status, await pendingStage(client, handle.workflowId));
    if (phase.kind === 'done') return { outcome: await handle.result(), status };
    if (phase.kind === 'needs-attention' && attention !== phase.reason) {
      attention = phase.reason;
      view.say(`  needs attention at ${phase.step}: ${phase.reason}`);
      view.say(`  go on with: ${phase.line.replace(/^temporal /, 'npm run temporal -- ')}`);
    }
    if (phase.kind === 'awaiting-approval' && asked !== phase.request.requestedAt) {
      asked = phase.request.requestedAt;
      await onAsked(status);
      showEvidence(status, view);
      await ask(handle, phase.request, view, options, signal);
    }
    await assertRunning(handle);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

async function assertRunning(handle: WorkflowHandle<typeof trainingRun>): Promise<void> {
  const { status } = await handle.describe();
  if (status.name === 'RUNNING' || status.name === 'COMPLETED') return;
  await handle.result(); // throws what it failed with
}

function showEvidence(status: RunStatus, view: ProgressView): void {
  for (const [title, summary] of [
    ['Gate: held-out tasks that nothing was chosen on', status.gate],
    ['Report: the test queries, measured once', status.report],
  ] as const) {
    if (summary === null) continue;
    view.say(`\n  ${title}: ${summary.fixed} fixed, ${summary.broken} newly broken`);
    for (const line of evidenceTable(summary).split('\n'))
      if (!line.startsWith('| ---')) view.say(`  ${line}`);
  }
  view.say('');
}

async function ask(
  handle: WorkflowHandle<typeof trainingRun>,
  request: ApprovalRequest,
  view: ProgressView,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const candidate = shortDigest(request.candidate);
  const send = async (decision: 'approve' | 'reject'): Promise<void> => {
    await handle.executeUpdate(reviewUpdate, { args: [{ candidate, by: APPROVER, decision }] });
    view.say(`  ${APPROVER}: ${decision} ${candidate}`);
  };
  if (options.yes) return send('approve');
  const isTerminal = process.stdin.isTTY && process.stderr.isTTY;
  if (isTerminal) return send(await askApproval(`  Approve ${candidate}? [y/n] `, signal));
  const review = JSON.stringify({ candidate, by: APPROVER, decision: 'approve' });
  view.say(`  Waiting for approval of ${candidate}. Approve it with:\n`);
  view.say(
    `    TEMPORAL_ADDRESS=${process.env['TEMPORAL_ADDRESS'] ?? ''} npm run temporal -- workflow update execute -w ${handle.workflowId} --name review --input '${review}'\n`,
  );
}

/** How it ended, in a line. */
export function describe(outcome: RunOutcome): string {
  switch (outcome.kind) {
    case 'promoted':
      return `promoted: ${shortDigest(outcome.champion.digest)} is champion, generation ${outcome.champion.generation}`;
    case 'gate-not-passed':
      return `the gate did not let it through: ${outcome.reasons.join('; ')}`;
    case 'no-better-checkpoint':
      return outcome.reason;
    case 'rejected':
      return `rejected by ${outcome.by}`;
    case 'approval-expired':
      return `nobody decided by ${outcome.deadline}`;
    case 'stopped':
      return `stopped at ${outcome.step}: ${outcome.reason}`;
  }
}

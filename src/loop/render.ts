import type { ApprovalRequest } from '../schemas/approval';
import { shortDigest } from '../schemas/ids';
import type { EvaluationSummary } from '../schemas/stages';
import type { AttentionNote } from './attention';
import { percent, points, rate, sparkline, table } from './markdown';
import type { Refusal } from './refusals';
import type { RunStatus } from './run-state';

/**
 * The current details of a workflow: what a person who opens it in the Temporal UI needs, the next action first. The UI
 * passes the text in a URL, so it stays well under 8 KB: only the newest iterations are listed, long texts are cut, and
 * whatever comes last goes first.
 */
const NEWEST = 12;
const NEWEST_REWARDS = 60;
const MAX_REASON_CHARS = 400;
const MAX_BYTES = 7_500;

/** A text of unknown length and shape as one line. */
function clip(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= MAX_REASON_CHARS ? line : `${line.slice(0, MAX_REASON_CHARS - 1)}…`;
}

/** As many of the first lines as there is room for. */
function fit(parts: readonly string[]): string {
  const lines = parts.join('\n').split('\n');
  let bytes = 0;
  const end = lines.findIndex(
    (line) => (bytes += new TextEncoder().encode(line).length + 1) > MAX_BYTES,
  );
  return (end < 0 ? lines : [...lines.slice(0, end), '…']).join('\n');
}

/** A word of a shell's command line: quoted where the shell would read anything else than itself. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The line that answers the question, as it can be pasted into a shell. */
export function approvalLine(
  workflowId: string,
  request: ApprovalRequest,
  by: string,
  decision: 'approve' | 'reject' = 'approve',
): string {
  const review = JSON.stringify({ candidate: shortDigest(request.candidate), by, decision });
  return `temporal workflow update execute -w ${shellWord(workflowId)} --name review --input ${shellWord(review)}`;
}

function signalLine(workflowId: string, name: string): string {
  return `temporal workflow signal -w ${shellWord(workflowId)} --name ${name}`;
}

/** The line that continues a run which waits for a person. */
export function retryLine(workflowId: string): string {
  return signalLine(workflowId, 'retry');
}

/** What a workflow waits for, and the line that lets it go on. */
export function attentionLines({ step, reason, line }: AttentionNote): string[] {
  return [
    `**Needs attention** at ${step}: ${clip(reason)}`,
    '',
    'To go on, once the cause is mended:',
    '```',
    line,
    '```',
  ];
}

function refusalLines(refusals: readonly Refusal[]): string[] {
  if (refusals.length === 0) return [];
  return [
    '',
    '**Ignored messages**',
    ...refusals.map((one) => `- \`${one.message}\` at ${one.at}: ${clip(one.reason)}`),
  ];
}

/** Baseline against candidate, one row per metric. */
export function evidenceTable(summary: EvaluationSummary): string {
  const metrics = [...(summary.target === null ? [] : [summary.target]), ...summary.guardrails];
  return table(
    ['metric', 'tasks', 'champion', 'candidate', 'difference', 'at least'],
    metrics.map((one) => [
      one.metric,
      String(one.candidate.n),
      rate(one.baseline),
      rate(one.candidate),
      points(one.difference),
      points(one.lower),
    ]),
  );
}

function evidence(title: string, summary: EvaluationSummary | null): string[] {
  if (summary === null) return [];
  return [
    '',
    `**${title}: ${summary.decision}** (${summary.fixed} tasks fixed, ${summary.broken} newly broken)`,
    '', // without it the list is not one
    ...summary.reasons.map((reason) => `- ${clip(reason)}`),
    '',
    evidenceTable(summary),
  ];
}

/** The question to a human: what is asked, until when, and the exact lines that answer. */
export function questionLines(
  workflowId: string,
  request: ApprovalRequest,
  approvers: readonly string[],
): string[] {
  const by = approvers[0] ?? '';
  return [
    `**Approve ${shortDigest(request.candidate)}?** by ${approvers.join(', ')}, until ${request.deadline}`,
    '',
    '```',
    approvalLine(workflowId, request, by),
    approvalLine(workflowId, request, by, 'reject'),
    '```',
  ];
}

function headline(status: RunStatus, workflowId: string, approvers: readonly string[]): string[] {
  const { phase } = status;
  switch (phase.kind) {
    case 'awaiting-approval':
      return questionLines(workflowId, phase.request, approvers);
    case 'needs-attention':
      return [
        ...attentionLines(phase),
        '',
        'To give this step up:',
        '```',
        signalLine(workflowId, 'stop'),
        '```',
      ];
    case 'paused':
      return [
        `**Paused** before ${phase.iteration < status.of ? `iteration ${phase.iteration + 1}` : 'the evaluation'}.`,
        '',
        '```',
        signalLine(workflowId, 'resume'),
        '```',
      ];
    case 'rolling-out':
    case 'collecting':
    case 'scoring':
    case 'training':
    case 'selecting':
      return [`**Iteration ${phase.iteration + 1} of ${status.of}: ${phase.kind}**`];
    case 'gating':
    case 'reporting':
    case 'promoting':
      return [`**${phase.kind}** candidate ${shortDigest(phase.candidate)}`];
    case 'preparing':
    case 'creating-policy':
      return [`**${phase.kind}**`];
    case 'done':
      return [`**${phase.outcome.kind}**${describeOutcome(phase.outcome)}`];
  }
}

function describeOutcome(
  outcome: Extract<RunStatus['phase'], { kind: 'done' }>['outcome'],
): string {
  switch (outcome.kind) {
    case 'promoted':
      return `: ${shortDigest(outcome.champion.digest)} is champion, generation ${outcome.champion.generation}; roll back with \`${signalLine(outcome.promotion, 'rollback')} --input '{"by":"…"}'\``;
    case 'gate-not-passed':
      return `: ${clip(outcome.reasons.join('; '))}`;
    case 'no-better-checkpoint':
      return `: ${clip(outcome.reason)}`;
    case 'rejected':
      return ` by ${outcome.by}${outcome.comment === undefined ? '' : `: ${clip(outcome.comment)}`}`;
    case 'approval-expired':
      return `: nobody decided by ${outcome.deadline}`;
    case 'stopped':
      return ` at ${outcome.step}: ${clip(outcome.reason)}`;
  }
}

export function renderRun(
  status: RunStatus,
  workflowId: string,
  approvers: readonly string[],
): string {
  const recent = status.points.slice(-NEWEST);
  const rewards = status.points
    .flatMap((point) => (point.reward === null ? [] : [point.reward.value]))
    .slice(-NEWEST_REWARDS);
  return fit([
    `### ${status.policy}: ${status.iterations} of ${status.of} iterations`,
    ...headline(status, workflowId, approvers),
    ...evidence('Gate', status.gate),
    ...evidence('Report (tasks that nothing was selected on)', status.report),
    ...(rewards.length > 1 ? ['', `reward ${sparkline(rewards)}`] : []),
    ...(recent.length === 0
      ? []
      : [
          '',
          table(
            [
              'iteration',
              'rollouts',
              'dropped',
              'reward (95 %)',
              'held out (95 %)',
              'loss',
              'checkpoint',
            ],
            recent.map((point) => [
              String(point.iteration),
              String(point.rollouts),
              point.dropped === 0
                ? '0'
                : `${point.dropped} (${percent(point.dropped / Math.max(1, point.rollouts))})`,
              rate(point.reward),
              rate(point.select),
              point.loss === null ? '–' : point.loss.toFixed(3),
              shortDigest(point.checkpoint),
            ]),
          ),
        ]),
    ...refusalLines(status.refusals),
  ]);
}

/** What a promotion shows. */
export interface PromotionView {
  readonly policy: string;
  readonly workflowId: string;
  readonly headline: readonly string[];
  readonly gate: EvaluationSummary | null;
  readonly refusals: readonly Refusal[];
}

export function renderPromotion(view: PromotionView): string {
  return fit([
    `### Promotion of ${view.policy}`,
    ...view.headline,
    ...evidence('Gate', view.gate),
    ...refusalLines(view.refusals),
  ]);
}

/** @param line what continues it; null while it gets on by itself. */
export function renderEvaluation(
  policy: string,
  phase: string,
  summary: EvaluationSummary | null,
  line: string | null = null,
): string {
  return fit([
    `### Evaluation of ${policy}`,
    `**${clip(phase)}**`,
    ...(line === null ? [] : ['', '```', line, '```']),
    ...evidence('Result', summary),
  ]);
}

import type { GateConfig } from '../schemas/gate-config';
import { normalQuantile } from '../stats/distributions';
import { fisherExact } from '../stats/fisher-exact';
import { listChanges as listPairedChanges, type Changes } from '../stats/list-changes';
import {
  compareMetric,
  exceeds,
  type Comparison,
  type PairedScore,
} from '../stats/metric-comparison';
import { expandedTail } from '../stats/paired-bootstrap';
import { decideDrops, type DropTally } from './drops';

/** One task under one metric: the scores of both policies, each averaged over the same number of repeats. */
export interface GateRow extends PairedScore {
  readonly metric: string;
  readonly taskId: string;
  /** The group under which changes are listed. */
  readonly slice: string;
}

export interface GateInput {
  /** Tasks that both arms finished, in any order; rows of metrics that the config does not name are ignored. */
  readonly rows: readonly GateRow[];
  readonly config: GateConfig;
  /** Of the bootstrap. The same evidence, config and seed give the same verdict to the last bit. */
  readonly seed: number;
  readonly drops: { readonly champion: DropTally; readonly candidate: DropTally };
}

export interface DropSummary {
  readonly rollouts: number;
  readonly dropped: number;
  readonly share: number;
  readonly byReason: Readonly<Record<string, number>>;
}

interface Evidence {
  /** Plain words for the approver: one sentence or two per finding. */
  readonly reasons: readonly string[];
  readonly guardrails: readonly Comparison[];
  readonly drops: {
    readonly champion: DropSummary;
    readonly candidate: DropSummary;
    /** Two-sided Fisher p of equal drop rates; null where the counts make no sense. */
    readonly fisherP: number | null;
  };
}

/** `refuse`: the evidence cannot be trusted either way. Nothing is promoted on it; gather it again. */
export type GateVerdict =
  | (Evidence & { readonly decision: 'pass' | 'fail'; readonly target: Comparison })
  | (Evidence & { readonly decision: 'refuse'; readonly target: Comparison | null });

/** With fewer the bootstrap's level is not to be trusted. Taking each task as its own cluster instead would hide that. */
export const MIN_CLUSTERS = 10;

/**
 * Drop rates that differ are caused by the arms. At 1 % chance alone refuses one sound gate in a hundred; a fixed gap of
 * 1 point would refuse every fourth (400 tasks, 2 % drops each) and with 50 tasks see nothing but its own grain.
 */
export const DROPS_DIFFER_AT = 0.01;

/** Order statistics this deep or deeper carry the bound; with fewer it is a lottery between the extremes. */
const MIN_TAIL_RESAMPLES = 5;

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

interface Formatter {
  readonly level: (x: number) => string;
  readonly amount: (x: number) => string;
}

function formatter(isShare: boolean): Formatter {
  return isShare
    ? { level: percent, amount: (x) => `${(100 * x).toFixed(1)} points` }
    : { level: (x) => x.toPrecision(4), amount: (x) => x.toPrecision(3) };
}

function summarizeDrops({ rollouts, drops }: DropTally): DropSummary {
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  const share = rollouts === 0 ? 0 : dropped / rollouts;
  return { rollouts, dropped, share, byReason: drops };
}

/**
 * Whether infrastructure may have selected the survivors: more than `maxDropShare` of an arm, or rates that differ by
 * Fisher's exact test. It takes rollouts as independent, so with repeats it refuses rather too often than too rarely.
 */
function weighDrops({ drops, config }: GateInput): {
  drops: Evidence['drops'];
  problems: string[];
} {
  const arms = {
    champion: summarizeDrops(drops.champion),
    candidate: summarizeDrops(drops.candidate),
  };
  const problems: string[] = [];
  for (const [arm, { rollouts, dropped, byReason }] of Object.entries(arms)) {
    const counts = [rollouts, ...Object.values(byReason)];
    if (!counts.every((n) => Number.isInteger(n) && n >= 0) || rollouts < 1 || dropped > rollouts) {
      problems.push(`The ${arm}'s drop counts make no sense: ${dropped} of ${rollouts} rollouts.`);
    }
  }
  if (problems.length > 0) return { drops: { ...arms, fisherP: null }, problems };

  for (const [arm, tally] of Object.entries(drops)) {
    const verdict = decideDrops(tally, config.maxDropShare);
    if (verdict.kind === 'stop') problems.push(`The ${arm} lost too much: ${verdict.reason}.`);
  }
  const { champion, candidate } = arms;
  const fisherP = fisherExact(
    [champion.dropped, champion.rollouts],
    [candidate.dropped, candidate.rollouts],
  );
  if (fisherP < DROPS_DIFFER_AT) {
    problems.push(
      `The arms lost different shares of their rollouts (champion ${percent(champion.share)}, candidate ` +
        `${percent(candidate.share)}, Fisher p = ${fisherP.toPrecision(2)}): what is left is no fair comparison.`,
    );
  }
  return { drops: { ...arms, fisherP }, problems };
}

/** What makes the rows of one metric unusable; empty where they can be compared. */
function problemsOfRows(
  metric: string,
  rows: readonly GateRow[],
  { confidence, resamples }: GateConfig,
): string[] {
  if (rows.length === 0) return [`No task was scored by ${metric} in both arms.`];
  const problems: string[] = [];
  const broken = rows.filter((row) => !Number.isFinite(row.champion - row.candidate)).length;
  if (broken > 0)
    problems.push(`${metric}: ${broken} of ${rows.length} tasks have no finite score.`);
  const repeated = rows.length - new Set(rows.map((row) => row.taskId)).size;
  if (repeated > 0) problems.push(`${metric}: ${repeated} tasks are listed twice.`);
  const clusters = new Set(rows.map((row) => row.cluster)).size;
  if (clusters < MIN_CLUSTERS) {
    problems.push(
      `${metric}: ${rows.length} tasks from ${clusters} task families; below ${MIN_CLUSTERS} families no error rate can be promised.`,
    );
  } else if ((resamples + 1) * expandedTail(1 - confidence, clusters) < MIN_TAIL_RESAMPLES) {
    problems.push(
      `${metric}: ${resamples} resamples do not reach a confidence of ${confidence}; ask for more resamples.`,
    );
  }
  return problems;
}

/**
 * The bound if the surplus of dropped rollouts of one arm had all fallen on this metric's tasks and each hid the largest
 * possible difference: (1 − s)·lower − s·range. It covers differences that are too small for Fisher's test to see.
 */
function lowerWithDrops(
  comparison: Comparison,
  rows: readonly GateRow[],
  { champion, candidate }: Evidence['drops'],
  allTasks: number,
): number {
  const scores = rows.flatMap((row) => [row.champion, row.candidate]);
  const range = comparison.isShare
    ? 1
    : scores.reduce((a, b) => Math.max(a, b)) - scores.reduce((a, b) => Math.min(a, b));
  const surplus = Math.abs(champion.share - candidate.share);
  const s = Math.min(1, (surplus * allTasks) / rows.length);
  return (1 - s) * comparison.lower - s * range;
}

/** What was seen, and what it was held against. */
function describe(
  comparison: Comparison,
  role: 'target' | 'guardrail',
  confidence: number,
): string {
  const { metric, tasks, clusters, champion, candidate, difference, lower, threshold } = comparison;
  const { level, amount } = formatter(comparison.isShare);
  const direction = difference > 0 ? 'rose' : difference < 0 ? 'fell' : 'did not change';
  const by = difference === 0 ? '' : ` by ${amount(Math.abs(difference))}`;
  const seen =
    `${metric} ${direction}${by}, from ${level(champion.value)} to ${level(candidate.value)}, ` +
    `on ${tasks} tasks from ${clusters} families.`;
  const sure = `With ${percent(confidence)} confidence `;
  if (role === 'target') {
    if (comparison.passed) return `${seen} ${sure}the rise is more than ${amount(lower)}.`;
    const z = normalQuantile(confidence);
    const shown = ((z + normalQuantile(0.8)) / z) * (difference - lower);
    return (
      `${seen} ${sure}it may be ${amount(lower)}: no rise is shown. ` +
      `With n = ${tasks} a true rise of ${amount(shown)} would be shown four times in five.`
    );
  }
  const margin = amount(-threshold);
  const rises = lower >= 0 ? `it did not fall` : `it fell by less than ${amount(-lower)}`;
  if (comparison.passed) return `${seen} ${sure}${rises}; up to ${margin} is allowed.`;
  return (
    `${seen} A fall of ${amount(-lower)} cannot be excluded; up to ${margin} is allowed. ` +
    `With n = ${tasks} the smallest drop that could be excluded is ${amount(difference - lower)} ` +
    `(were no change seen at all)${difference > threshold ? '; more tasks would narrow it' : ''}.`
  );
}

/**
 * Decides whether a candidate may be put before a human, from paired evidence on tasks that it was neither trained nor
 * selected on (the caller's duty, as is counting how often a split has been used).
 *
 * Pass iff the one-sided lower bound of the mean paired difference (paired cluster bootstrap; Tango's score bound where
 * few tasks got worse) is above 0 on the target and above −margin on each guardrail. A candidate that is no better passes
 * with probability at most 1 − confidence; the guardrails need no correction, since all have to hold. Refuse if the
 * evidence cannot carry a verdict: see `problemsOfRows`, `weighDrops`, `lowerWithDrops`, and `config.minTasks` (target only:
 * a guardrail with few tasks has a wide interval and fails by itself).
 *
 * Pure and deterministic: it runs in activities, and may run in a workflow.
 */
export function decideGate(input: GateInput): GateVerdict {
  const { rows, config, seed } = input;
  const { drops, problems } = weighDrops(input);
  const allTasks = new Set(rows.map((row) => row.taskId)).size;
  const findings: string[] = [];

  const compare = (
    metric: string,
    role: 'target' | 'guardrail',
    margin: number,
  ): Comparison | null => {
    const own = rows.filter((row) => row.metric === metric);
    const unusable = problemsOfRows(metric, own, config);
    problems.push(...unusable);
    if (unusable.length > 0) return null;
    if (role === 'target' && own.length < config.minTasks) {
      problems.push(
        `${metric}: ${own.length} tasks are too few; at least ${config.minTasks} were asked for.`,
      );
    }
    const { confidence, resamples } = config;
    const threshold = margin === 0 ? 0 : -margin; // never -0: it would show in JSON comparisons
    const comparison = compareMetric({ metric, rows: own, threshold, confidence, resamples, seed });
    findings.push(describe(comparison, role, confidence));
    if (
      comparison.passed &&
      !exceeds(lowerWithDrops(comparison, own, drops, allTasks), threshold)
    ) {
      problems.push(
        `${metric} passes only if the rollouts that infrastructure took from one arm and not from the other ` +
          `(champion ${drops.champion.dropped}, candidate ${drops.candidate.dropped}) hide nothing: run them again.`,
      );
    }
    return comparison;
  };

  const target = compare(config.target, 'target', 0);
  const guardrails = config.guardrails
    .map(({ metric, margin }) => compare(metric, 'guardrail', margin))
    .filter((comparison) => comparison !== null);

  if (problems.length > 0 || target === null) {
    return { decision: 'refuse', reasons: [...problems, ...findings], target, guardrails, drops };
  }
  const passed = [target, ...guardrails].every((comparison) => comparison.passed);
  return { decision: passed ? 'pass' : 'fail', reasons: findings, target, guardrails, drops };
}

/** Tasks that the candidate fixed and newly broke under one metric; see src/stats/list-changes.ts. */
export function listChanges(
  rows: readonly GateRow[],
  { metric, limit = 50 }: { readonly metric: string; readonly limit?: number },
): Changes {
  return listPairedChanges(
    rows.filter((row) => row.metric === metric),
    limit,
  );
}

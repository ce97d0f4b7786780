import { z } from 'zod';
import { ApprovalRequest } from '../schemas/approval';
import { Estimate } from '../schemas/estimate';
import { Digest } from '../schemas/ids';
import { ObjectRef } from '../schemas/object-ref';
import { OffPolicy } from '../schemas/off-policy';
import { RunConfig } from '../schemas/run-config';
import { Champion, TaskCounts, type EvaluationSummary } from '../schemas/stages';
import { AttentionNote, type UnattendedQueue } from './attention';
import { Refusal } from './refusals';

/** One iteration, as the learning curve shows it. */
export const CurvePoint = z.strictObject({
  /** From 1. */
  iteration: z.int().positive(),
  checkpoint: Digest,
  rollouts: z.int().min(0),
  dropped: z.int().min(0),
  /** Mean reward of the iteration's rollouts, sampled from the policy before its update. */
  reward: Estimate.nullable(),
  /** The gate's target metric on the select split, by the policy after the update; null where it was not measured. */
  select: Estimate.nullable(),
  loss: z.number().nullable(),
  /** Of a run that learns from live feedback: what the policy after the update would have earned on decisions that were held out. */
  offPolicy: OffPolicy.optional(),
});
export type CurvePoint = z.infer<typeof CurvePoint>;

/** How a run ended. Every end but `failed` is a result of the workflow; failures are failures of the workflow. */
export const RunOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('promoted'), champion: Champion, promotion: z.string() }),
  z.strictObject({ kind: z.literal('gate-not-passed'), reasons: z.array(z.string()) }),
  z.strictObject({ kind: z.literal('no-better-checkpoint'), reason: z.string() }),
  z.strictObject({ kind: z.literal('rejected'), by: z.string(), comment: z.string().optional() }),
  z.strictObject({ kind: z.literal('approval-expired'), deadline: z.iso.datetime() }),
  /** `stop` gave up a step that waited for a person. */
  z.strictObject({ kind: z.literal('stopped'), step: z.string(), reason: z.string() }),
]);
export type RunOutcome = z.infer<typeof RunOutcome>;

const iteration = z.int().min(0);

/** Where a run is. `needs-attention` waits for somebody: it says what happened and the line that goes on. */
export const RunPhase = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('preparing') }),
  z.strictObject({ kind: z.literal('creating-policy') }),
  z.strictObject({ kind: z.literal('rolling-out'), iteration }),
  z.strictObject({ kind: z.literal('scoring'), iteration }),
  /** Waits for live decisions with feedback, and reads them. */
  z.strictObject({ kind: z.literal('collecting'), iteration }),
  z.strictObject({ kind: z.literal('training'), iteration }),
  z.strictObject({ kind: z.literal('selecting'), iteration }),
  z.strictObject({ kind: z.literal('paused'), iteration }),
  z.strictObject({ kind: z.literal('gating'), candidate: Digest }),
  z.strictObject({ kind: z.literal('reporting'), candidate: Digest }),
  z.strictObject({ kind: z.literal('awaiting-approval'), request: ApprovalRequest }),
  z.strictObject({ kind: z.literal('promoting'), candidate: Digest }),
  z.strictObject({ kind: z.literal('needs-attention'), ...AttentionNote.shape }),
  z.strictObject({ kind: z.literal('done'), outcome: RunOutcome }),
]);
export type RunPhase = z.infer<typeof RunPhase>;

/** The value of the search attribute RatchetPhase. */
export function phaseName(phase: RunPhase): string {
  return phase.kind === 'done' ? phase.outcome.kind : phase.kind;
}

/** A checkpoint of this run with its result on the select split. */
const Best = z.strictObject({
  checkpoint: Digest,
  iteration: z.int().positive(),
  select: Estimate,
});

/**
 * All that a run carries across continue-as-new: plain JSON, no Map, no Date. It is taken between iterations only, so
 * there is never half an iteration in it.
 */
export const RunState = z.strictObject({
  formatVersion: z.literal(1),
  config: RunConfig,
  run: z.string(),
  startedAt: z.iso.datetime(),
  dataset: Digest,
  tasks: TaskCounts,
  searchAttributes: z.boolean(),
  /** The champion that this run set out from. */
  base: Champion,
  /** The target metric of that champion on the select split; null until it was measured. */
  baseSelect: Estimate.nullable(),
  /** The newest checkpoint: the behavior policy of the next iteration. */
  checkpoint: Digest,
  replay: ObjectRef.nullable(),
  /** Of a run that learns from live feedback: up to when it has read; left out before its first iteration. */
  liveTo: z.iso.datetime().optional(),
  /** Iterations finished so far. */
  iterations: z.int().min(0),
  points: z.array(CurvePoint),
  best: Best.nullable(),
  paused: z.boolean(),
  stopRequested: z.boolean(),
  refusals: z.array(Refusal),
});
export type RunState = z.infer<typeof RunState>;

/** What the query `status` answers. */
export interface RunStatus {
  readonly run: string;
  readonly policy: string;
  readonly phase: RunPhase;
  readonly iterations: number;
  readonly of: number;
  readonly startedAt: string;
  readonly dataset: Digest | null;
  readonly base: Champion | null;
  readonly baseSelect: Estimate | null;
  readonly checkpoint: Digest | null;
  readonly best: RunState['best'];
  readonly points: readonly CurvePoint[];
  readonly gate: EvaluationSummary | null;
  readonly report: EvaluationSummary | null;
  readonly paused: boolean;
  readonly refusals: readonly Refusal[];
  /** Queues that nobody polls while work of this run waits there. */
  readonly unattended: readonly UnattendedQueue[];
}

/** The curve is for people: when it grows past this, every second of its older points goes. */
const MAX_POINTS = 200;

function thin(points: CurvePoint[]): CurvePoint[] {
  if (points.length <= MAX_POINTS) return points;
  const recent = points.slice(-MAX_POINTS / 2);
  const older = points.slice(0, -MAX_POINTS / 2).filter((_, index) => index % 2 === 0);
  return [...older, ...recent];
}

export interface FinishedIteration {
  readonly point: CurvePoint;
  readonly replay: ObjectRef;
}

/**
 * The state after an iteration. The best checkpoint is the one with the highest mean on the select split; of equals the
 * earlier one, since it is the smaller change.
 */
export function finishIteration(state: RunState, { point, replay }: FinishedIteration): RunState {
  const { select } = point;
  const best =
    select !== null && (state.best === null || select.value > state.best.select.value)
      ? { checkpoint: point.checkpoint, iteration: point.iteration, select }
      : state.best;
  return {
    ...state,
    checkpoint: point.checkpoint,
    replay,
    iterations: state.iterations + 1,
    points: thin([...state.points, point]),
    best,
  };
}

/**
 * Why a checkpoint is not worth the rollouts of a gate: live decisions that were held out say, with confidence, that it earns less than what made
 * them. null where they do not say so, or cannot know.
 */
export function reasonAgainst(point: CurvePoint | undefined): string | null {
  const offPolicy = point?.offPolicy;
  if (offPolicy === undefined || offPolicy.refusal !== null || offPolicy.upper === null)
    return null;
  if (offPolicy.upper >= 0) return null;
  const { value, logged, n } = offPolicy;
  return (
    `Off-policy, on ${n} live decisions that it was not trained on, the candidate earns ${value.toFixed(4)} ` +
    `where the policy that took them earned ${logged.toFixed(4)}: less, with 95 % confidence.`
  );
}

/** Whether iteration `iteration` (from 0) is measured on the select split: every n-th, and the last. */
export function isSelectDue(iteration: number, config: RunConfig, isLast: boolean): boolean {
  return isLast || (iteration + 1) % config.select.every === 0;
}

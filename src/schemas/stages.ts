import { z } from 'zod';
import { Estimate } from './estimate';
import { GateConfig } from './gate-config';
import { ApprovalRecord } from './approval';
import { Digest, Name } from './ids';
import { ObjectRef } from './object-ref';
import { Duration } from './duration';
import { LiveSource, RolloutConfig, RunConfig } from './run-config';
import { Split } from './task';
import { TrainConfig } from './train-config';

/**
 * What the workflows and the activities say to each other, stage by stage: ids, keys, digests and small finite numbers.
 * Trajectories and tensors stay in the object store.
 */

/** A run, `<workflow id>.<first run id>`, made safe for keys. */
const RunKey = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/);

export const Champion = z.strictObject({ digest: Digest, generation: z.int().positive() });
export type Champion = z.infer<typeof Champion>;

/** Tasks by split. */
export const TaskCounts = z.record(Split, z.int().min(0));
export type TaskCounts = z.infer<typeof TaskCounts>;

// openRun ------------------------------------------------------------------------------------------------------------

export const OpenRunInput = z.strictObject({
  config: RunConfig,
  /** Left out by workflows of an older version: then it is the execution that asks. */
  run: RunKey.optional(),
});
export const OpenRunResult = z.strictObject({
  dataset: Digest,
  /** null: the policy has to be created from its demonstrations first. */
  champion: Champion.nullable(),
  tasks: TaskCounts,
  /** Whether the server knows the search attributes; upserting an unknown one would block the workflow. */
  searchAttributes: z.boolean(),
});
export type OpenRunResult = z.infer<typeof OpenRunResult>;

export const OpenEvaluationInput = z.strictObject({
  policy: Name,
  dataset: Name,
  agent: Name,
  gate: GateConfig,
  candidate: Digest,
  split: Split,
  run: RunKey.optional(),
});
export const OpenEvaluationResult = z.strictObject({
  dataset: Digest,
  champion: Champion,
  tasks: TaskCounts,
  searchAttributes: z.boolean(),
});
export type OpenEvaluationResult = z.infer<typeof OpenEvaluationResult>;

// createPolicy, registerChampion --------------------------------------------------------------------------------------

export const CreatePolicyInput = z.strictObject({
  run: RunKey,
  policy: Name,
  seed: z.int().min(0),
});
export const CreatePolicyResult = z.strictObject({ checkpoint: Digest });
export const RegisterChampionInput = z.strictObject({ policy: Name, checkpoint: Digest });

// rollOut -------------------------------------------------------------------------------------------------------------

export const TaskSelection = z.strictObject({
  split: Split,
  /** 'shuffled': passes follow each other, each a permutation of its own; 'fixed': one order for all runs. */
  order: z.enum(['shuffled', 'fixed']),
  /** Position of the first task in that sequence, from 0. */
  from: z.int().min(0),
  count: z.int().min(1),
});
export type TaskSelection = z.infer<typeof TaskSelection>;

export const RollOutInput = z.strictObject({
  run: RunKey,
  iteration: z.int().min(0),
  policy: Name,
  agent: Name,
  checkpoint: Digest,
  dataset: Digest,
  datasetName: Name,
  selection: TaskSelection,
  shard: z.int().min(0),
  shards: z.int().min(1),
  repeats: z.int().min(1),
  seed: z.int().min(0),
  temperature: z.number().min(0),
  rollouts: RolloutConfig,
  /** How often a person has had this batch rolled out again, if at all: each go has sessions of its own. */
  go: z.int().positive().optional(),
});
export type RollOutInput = z.infer<typeof RollOutInput>;

const Counts = z.record(z.string(), z.int().min(0));

export const RollOutResult = z.strictObject({
  /** The batch's manifest: the list of its segments. */
  batch: ObjectRef,
  rollouts: z.int().min(0),
  /** Attempts by outcome kind. */
  outcomes: Counts,
  /** Dropped rollouts by reason. */
  drops: Counts,
});
export type RollOutResult = z.infer<typeof RollOutResult>;

// score ---------------------------------------------------------------------------------------------------------------

export const ScoreInput = z.strictObject({
  run: RunKey,
  iteration: z.int().min(0),
  dataset: Digest,
  datasetName: Name,
  batches: z.array(ObjectRef).min(1),
  /** How scores become the reward. */
  weights: z.record(z.string(), z.number()),
});
export type ScoreInput = z.infer<typeof ScoreInput>;

export const ScoreResult = z.strictObject({
  /** Segment of reward records. */
  rewards: ObjectRef,
  reward: Estimate.nullable(),
  /** By scorer, over the tasks it applies to. */
  metrics: z.record(z.string(), Estimate),
  rollouts: z.int().min(0),
  drops: Counts,
});
export type ScoreResult = z.infer<typeof ScoreResult>;

// collectLive ---------------------------------------------------------------------------------------------------------

export const CollectLiveInput = z.strictObject({
  run: RunKey,
  iteration: z.int().min(0),
  policy: Name,
  dataset: Digest,
  datasetName: Name,
  /** The behaviour policy's newest checkpoint, for the batch's manifest; each decision names its own. */
  checkpoint: Digest,
  live: LiveSource,
  weights: z.record(z.string(), z.number()),
  /** Decisions before it are not read. */
  from: z.iso.datetime(),
  /** How long to wait for enough decisions before saying that there are not. */
  patience: Duration,
});
export type CollectLiveInput = z.infer<typeof CollectLiveInput>;

/** What can be trained on, and what it earned. */
const FeedbackBatch = z.strictObject({ batches: z.array(ObjectRef).min(1), rewards: ObjectRef });

export const CollectLiveResult = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('waiting'), decisions: z.int().min(0) }),
  z.strictObject({
    kind: z.literal('collected'),
    /** Where the next iteration begins. */
    to: z.iso.datetime(),
    training: FeedbackBatch,
    /** null where nothing was held out. */
    heldOut: FeedbackBatch.nullable(),
    decisions: z.int().min(0),
    reward: Estimate.nullable(),
    /** Decisions with feedback that teach nothing, by reason. */
    drops: Counts,
  }),
]);
export type CollectLiveResult = z.infer<typeof CollectLiveResult>;

// estimateOffPolicy ---------------------------------------------------------------------------------------------------

export const EstimateOffPolicyInput = z.strictObject({
  candidate: Digest,
  ...FeedbackBatch.shape,
  weights: z.record(z.string(), z.number()),
});

// train ---------------------------------------------------------------------------------------------------------------

export const TrainInput = z.strictObject({
  run: RunKey,
  iteration: z.int().min(0),
  policy: Name,
  dataset: Digest,
  parent: Digest,
  batches: z.array(ObjectRef).min(1),
  rewards: ObjectRef,
  weights: z.record(z.string(), z.number()),
  /** Stored feedback of earlier iterations; null before the first. */
  replay: ObjectRef.nullable(),
  train: TrainConfig,
  seed: z.int().min(0),
});
export type TrainInput = z.infer<typeof TrainInput>;

export const TrainResult = z.strictObject({
  checkpoint: Digest,
  replay: ObjectRef,
  optimizerSteps: z.int().min(0),
  examples: z.int().min(0),
  metrics: z.record(z.string(), z.number()),
});
export type TrainResult = z.infer<typeof TrainResult>;

// compare -------------------------------------------------------------------------------------------------------------

const Side = z.strictObject({
  checkpoint: Digest,
  batches: z.array(ObjectRef),
  rewards: ObjectRef,
  rollouts: z.int(),
  drops: Counts,
});
export const CompareInput = z.strictObject({
  policy: Name,
  dataset: Digest,
  datasetName: Name,
  split: Split,
  baseline: Side,
  candidate: Side,
  gate: GateConfig,
  seed: z.int().min(0),
});
export type CompareInput = z.infer<typeof CompareInput>;

/** A metric of both arms on the same tasks. */
const Compared = z.strictObject({
  metric: z.string(),
  baseline: Estimate,
  candidate: Estimate,
  difference: z.number(),
  /** One-sided lower bound of the paired difference. */
  lower: z.number(),
});

export const EvaluationSummary = z.strictObject({
  evaluation: Digest,
  split: Split,
  dataset: Digest,
  baseline: Digest,
  candidate: Digest,
  decision: z.enum(['pass', 'fail', 'refuse']),
  reasons: z.array(z.string()),
  target: Compared.nullable(),
  guardrails: z.array(Compared),
  fixed: z.int().min(0),
  broken: z.int().min(0),
});
export type EvaluationSummary = z.infer<typeof EvaluationSummary>;

// promote, rollback ---------------------------------------------------------------------------------------------------

export const PromoteInput = z.strictObject({
  policy: Name,
  promotionId: z.string().min(1),
  approval: ApprovalRecord,
});
export const RollbackInput = z.strictObject({
  policy: Name,
  promotionId: z.string().min(1),
  /** The generation that is taken back: if the champion has moved on, nothing is rolled back. */
  generation: z.int().positive(),
  by: z.string(),
  reason: z.string(),
});
/** `stale`: the champion is not the one that the evidence was gathered against (or that should be taken back). */
export const RoutingOutcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('moved'), champion: Champion, previous: Digest.nullable() }),
  z.strictObject({ kind: z.literal('stale'), champion: Champion }),
]);
export type RoutingOutcome = z.infer<typeof RoutingOutcome>;

// openPromotion -------------------------------------------------------------------------------------------------------

export const OpenPromotionInput = z.strictObject({ policy: Name, candidate: Digest });
export const OpenPromotionResult = z.strictObject({ searchAttributes: z.boolean() });

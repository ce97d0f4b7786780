import { z } from 'zod';
import { Estimate } from './estimate';
import { Digest, Name } from './ids';
import { ObjectRef } from './object-ref';
import { EvaluationConfig, RunConfig } from './run-config';
import { Split } from './task';
import { TrainConfig } from './train-config';

/**
 * What a run committed, as it stands in the store: readable without Temporal, and what keeps its objects from garbage collection.
 * The history of the workflow stays what decides; a record says the same to whoever has only the store.
 */

const Counts = z.record(z.string(), z.int().min(0));
const Dataset = z.strictObject({ name: Name, digest: Digest });

/** `run.json`: what was asked for. The first one stays: the run works on the dataset that it names. */
export const RunRecord = z.discriminatedUnion('kind', [
  z.strictObject({
    formatVersion: z.literal(1),
    kind: z.literal('training'),
    run: z.string().min(1),
    workflowId: z.string(),
    policy: Name,
    dataset: Dataset,
    config: RunConfig,
    /** When its first activity was scheduled. */
    openedAt: z.iso.datetime(),
  }),
  z.strictObject({
    formatVersion: z.literal(1),
    kind: z.literal('evaluation'),
    run: z.string().min(1),
    workflowId: z.string(),
    policy: Name,
    dataset: Dataset,
    config: EvaluationConfig.pick({ agent: true, gate: true }).extend({ split: Split }),
    candidate: Digest,
    openedAt: z.iso.datetime(),
  }),
]);
export type RunRecord = z.infer<typeof RunRecord>;

const place = {
  formatVersion: z.literal(1),
  run: z.string().min(1),
  iteration: z.int().min(0),
  /** When the activity was scheduled: the same for all of its attempts. */
  at: z.iso.datetime(),
};

/** A policy came to life. */
export const CreatedRecord = z.strictObject({
  ...place,
  kind: z.literal('created'),
  policy: Name,
  dataset: Dataset,
  checkpoint: Digest,
  seed: z.int().min(0),
});
export type CreatedRecord = z.infer<typeof CreatedRecord>;

/** A batch was scored: these are its rollouts and their rewards. */
export const ScoredRecord = z.strictObject({
  ...place,
  kind: z.literal('scored'),
  dataset: Dataset,
  batches: z.array(ObjectRef).min(1),
  rewards: ObjectRef,
  weights: z.record(z.string(), z.number()),
  reward: Estimate.nullable(),
  metrics: z.record(z.string(), Estimate),
  rollouts: z.int().min(0),
  /** Attempts by outcome, as the batches say. */
  outcomes: Counts,
  /** Dropped rollouts by reason: where they were rolled out and where they were scored. */
  drops: Counts,
});
export type ScoredRecord = z.infer<typeof ScoredRecord>;

/** An iteration was trained. `iteration` counts from 0, as in keys; people count from 1. */
export const TrainedRecord = z.strictObject({
  ...place,
  kind: z.literal('trained'),
  policy: Name,
  dataset: Digest,
  parent: Digest,
  checkpoint: Digest,
  batches: z.array(ObjectRef).min(1),
  rewards: ObjectRef,
  weights: z.record(z.string(), z.number()),
  /** The replay buffer before and after. */
  replay: z.strictObject({ before: ObjectRef.nullable(), after: ObjectRef }),
  train: TrainConfig,
  seed: z.int().min(0),
  optimizerSteps: z.int().min(0),
  examples: z.int().min(0),
  metrics: z.record(z.string(), z.number()),
});
export type TrainedRecord = z.infer<typeof TrainedRecord>;

export const IterationRecord = z.discriminatedUnion('kind', [
  CreatedRecord,
  ScoredRecord,
  TrainedRecord,
]);
export type IterationRecord = z.infer<typeof IterationRecord>;

const Arm = z.strictObject({
  checkpoint: Digest,
  batches: z.array(ObjectRef),
  rewards: ObjectRef,
  rollouts: z.int().min(0),
  drops: Counts,
});

/**
 * What an evaluation was computed from. It is not part of the evaluation, whose digest says what was found and not in which attempt:
 * keys of attempts and times of rollouts differ between two runs of the same work.
 */
export const EvidenceRecord = z.strictObject({
  formatVersion: z.literal(1),
  evaluation: Digest,
  baseline: Arm,
  candidate: Arm,
});
export type EvidenceRecord = z.infer<typeof EvidenceRecord>;

/** `dropped.json`: an ended run's trajectories and checkpoints count no more; its records stay. */
export const DroppedRecord = z.strictObject({
  formatVersion: z.literal(1),
  run: z.string().min(1),
  droppedAt: z.iso.datetime(),
});
export type DroppedRecord = z.infer<typeof DroppedRecord>;

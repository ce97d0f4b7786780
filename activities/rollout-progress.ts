import { z } from 'zod';
import { NotFoundError } from '../src/errors';
import { sumCounts } from '../src/loop/drops';
import { BatchManifest } from '../src/rollouts/batch-manifest';
import { ObjectRef } from '../src/schemas/object-ref';
import { readJson, writeJsonLines } from '../src/storage/json-objects';
import type { ObjectStore } from '../src/storage/object-store';

/**
 * Segments that a heartbeat names one by one. Heartbeats are sent again and again and kept by the server, so they must
 * not grow with the batch: what is older is named by a manifest in the store.
 */
const RECENT = 16;

const Counts = z.record(z.string(), z.int());
const CommittedSegment = z.strictObject({ ref: ObjectRef, outcomes: Counts, drops: Counts });
export type CommittedSegment = z.infer<typeof CommittedSegment>;

/** What a rollout activity's heartbeat says: a few kilobytes, however large the batch. */
export const RolloutProgress = z.strictObject({
  /** Rollouts finished, for people. */
  done: z.int().min(0),
  of: z.int().min(0),
  /** Rollouts that wait at the moment: somebody pushes back, or their last attempt failed. For people, too. */
  waiting: z.int().min(0).default(0),
  /** Rollouts in committed segments: where the next attempt goes on. */
  committed: z.int().min(0),
  /** A BatchManifest of the segments before `segments`; null while there are none. */
  earlier: ObjectRef.nullable(),
  /** The segments committed last, in order. */
  segments: z.array(CommittedSegment).max(RECENT),
});
export type RolloutProgress = z.infer<typeof RolloutProgress>;

/** The segments that this execution's attempts have committed so far. */
export interface CommittedSegments {
  /** What the heartbeat says of them. */
  readonly progress: RolloutProgress;
  readonly manifest: BatchManifest;
}

/** Before the first segment. */
export function noSegments(checkpoint: string, of: number): CommittedSegments {
  return {
    progress: { done: 0, of, waiting: 0, committed: 0, earlier: null, segments: [] },
    manifest: {
      ...{ formatVersion: 1, checkpoint, segments: [], rollouts: 0 },
      ...{ outcomes: {}, drops: {} },
    },
  };
}

/**
 * Where an attempt goes on that follows one which said `progress`. If the manifest that it names is gone, from the
 * start: the batch takes longer then, and comes out the same.
 *
 * @throws {IntegrityError} if the manifest is not what the last attempt wrote.
 */
export async function resumeSegments(
  store: ObjectStore,
  progress: RolloutProgress,
  checkpoint: string,
): Promise<CommittedSegments> {
  const start = noSegments(checkpoint, progress.of);
  let { manifest } = start;
  if (progress.earlier !== null) {
    try {
      manifest = await readJson(store, progress.earlier, BatchManifest);
    } catch (error) {
      if (error instanceof NotFoundError) return start;
      throw error;
    }
  }
  for (const segment of progress.segments) manifest = withSegment(manifest, segment);
  return { progress, manifest: { ...manifest, rollouts: progress.committed } };
}

/**
 * One segment more, of rollouts up to `committed`. From time to time the list so far is written as an object, so that
 * the heartbeat stays small; like the segments it counts only where it is named.
 *
 * @param key of that object, unique to this attempt and to `committed`.
 */
export async function addSegment(
  store: ObjectStore,
  { progress, manifest: before }: CommittedSegments,
  segment: CommittedSegment,
  committed: number,
  key: () => string,
): Promise<CommittedSegments> {
  const manifest = { ...withSegment(before, segment), rollouts: committed };
  const segments = [...progress.segments, segment];
  if (segments.length <= RECENT) {
    return { manifest, progress: { ...progress, done: committed, committed, segments } };
  }
  const earlier = await writeJsonLines(store, key(), [manifest]);
  return { manifest, progress: { ...progress, done: committed, committed, earlier, segments: [] } };
}

function withSegment(manifest: BatchManifest, { ref, outcomes, drops }: CommittedSegment) {
  return {
    ...manifest,
    segments: [...manifest.segments, ref],
    outcomes: sumCounts([manifest.outcomes, outcomes]),
    drops: sumCounts([manifest.drops, drops]),
  };
}

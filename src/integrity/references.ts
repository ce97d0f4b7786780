import { z } from 'zod';
import { IntegrityError, NotFoundError } from '../errors';
import { readBatch } from '../rollouts/segment-reader';
import { Digest } from '../schemas/ids';
import type { ObjectRef } from '../schemas/object-ref';
import {
  DroppedRecord,
  type EvidenceRecord,
  type IterationRecord,
  RunRecord,
} from '../schemas/run-records';
import { LiveHour } from '../schemas/live-hour';
import { decodeChecked } from '../storage/checked-json';
import { parseJson } from '../storage/json-objects';
import {
  blobKey,
  claimsPrefix,
  datasetFolder,
  datasetsPrefix,
  evaluationsPrefix,
  policiesPrefix,
  quarantinePrefix,
  runsPrefix,
} from '../storage/keys';
import { placeOf, type PlaceKind } from '../storage/layout';
import { getIfPresent } from '../storage/object-ref';
import type { ObjectEntry, ObjectStore } from '../storage/object-store';
import { Routing } from '../storage/routing';
import { readEvidence, readIterationRecord } from '../storage/run-records';
import { Claim } from '../storage/sweep';
import { segmentKeyOf } from '../trajectories/live-hours';
import { createDocumentCache, type DocumentCache } from './document-cache';
import { readLineage, type Lineage } from './lineage';

/** An object that a record names, and who does. */
export interface Named {
  readonly ref: ObjectRef;
  readonly by: string;
}

/** All that the records of a store name: what garbage collection must keep, and what `verify` must find. */
export interface References {
  /** Checkpoints with the key of a record that names them; lineage included. */
  readonly checkpoints: ReadonlyMap<Digest, string>;
  /** The part of them that was committed for certain before its record was: a missing one is damage. */
  readonly committed: ReadonlySet<Digest>;
  /** Batches, segments, rewards and blobs, by key. */
  readonly objects: ReadonlyMap<string, Named>;
  /** Folders of datasets that were committed, or that a run names. */
  readonly datasets: ReadonlySet<string>;
  /** Evaluations that are there. */
  readonly evaluations: ReadonlySet<Digest>;
  /** Keys, and folders with their slash, that writers rely on just now. */
  readonly held: readonly string[];
  /** Runs of which a batch's manifest cannot be read: what else they hold is not known, so all of it counts as named. */
  readonly unreadableRuns: ReadonlySet<string>;
  /** False where a checkpoint that is named cannot say what it was trained from. */
  readonly isLineageKnown: boolean;
  /** By the run's name, not its folder's. */
  readonly runs: ReadonlyMap<string, RunFacts>;
}

export interface RunFacts {
  readonly run: string;
  readonly folder: string;
  /** When its newest record was made; null for a run that has none. */
  readonly lastAt: string | null;
  readonly droppedAt: string | null;
}

/** Of a stored evaluation, what it names. */
const Evaluated = z.object({ baseline: Digest, candidate: Digest });
/** Of a promotion record, what it names. */
const Promoted = z.looseObject({
  champion: Digest,
  previous: Digest,
  approval: z
    .object({
      request: z.object({ candidate: Digest, champion: z.object({ digest: Digest }) }),
    })
    .optional(),
});

/** How documents are read that cannot be: verify reports them and goes on, garbage collection must not. */
export type OnUnreadable = (error: IntegrityError, key: string) => void;

/**
 * Reads every document that names others.
 *
 * @param entries of the whole store, or at least of its documents: see `NAMING_PREFIXES`.
 * @throws {IntegrityError} if a document is damaged and `onUnreadable` is left out: what it names is not known.
 */
export async function readReferences(
  store: ObjectStore,
  entries: Iterable<ObjectEntry>,
  {
    cache = createDocumentCache(),
    onUnreadable = (error) => {
      throw error;
    },
    alsoDropped = new Set(),
    claimed = [],
  }: {
    readonly cache?: DocumentCache;
    readonly onUnreadable?: OnUnreadable;
    /** Runs that count as dropped although no record says so. */
    readonly alsoDropped?: ReadonlySet<string>;
    /** What `readClaims` gave before `entries` were listed. */
    readonly claimed?: readonly string[];
  } = {},
): Promise<References> {
  const checkpoints = new Map<Digest, string>();
  const committed = new Set<Digest>();
  const objects = new Map<string, Named>();
  const datasets = new Set<string>();
  const evaluations = new Set<Digest>();
  const held = [...claimed];
  const unreadableRuns = new Set<string>();
  const runs = new Map<string, RunFacts>();
  const dropped = new Map<string, string>();
  const records: { key: string; folder: string; record: IterationRecord }[] = [];
  /** What checkpoints say of where they come from, from the records; others are asked themselves. */
  const lineage = new Map<Digest, Lineage>();

  const read = async <T>(
    entry: ObjectEntry,
    parse: (bytes: Uint8Array) => T,
  ): Promise<T | null> => {
    try {
      return parse((await store.get(entry.key)).bytes); // small, and some of them change: not kept
    } catch (error) {
      return unreadable(error, entry.key);
    }
  };
  const unreadable = (error: unknown, key: string): null => {
    if (error instanceof NotFoundError) return null; // removed since it was listed: it names nothing any more
    if (!(error instanceof IntegrityError)) throw error;
    onUnreadable(error, key);
    return null;
  };
  const nameCheckpoint = (digest: Digest | null, by: string, isCommitted = true): void => {
    if (digest === null) return;
    if (!checkpoints.has(digest)) checkpoints.set(digest, by);
    if (isCommitted) committed.add(digest);
  };
  const nameObject = (ref: ObjectRef, by: string): void => {
    if (!objects.has(ref.key)) objects.set(ref.key, { ref, by });
  };
  const nameBatches = async (
    batches: readonly ObjectRef[],
    by: string,
    folder?: string,
  ): Promise<void> => {
    for (const batch of batches) {
      nameObject(batch, by);
      try {
        const { segments } = await cache.read(`${batch.key} ${batch.sha256}`, () =>
          readBatch(store, batch),
        );
        for (const segment of segments) nameObject(segment, batch.key);
      } catch (error) {
        if (!(error instanceof IntegrityError || error instanceof NotFoundError)) throw error;
        // Verify finds it by its reference. What it named is not known: nothing of its run may go.
        const place = placeOf(batch.key);
        const run = folder ?? ('run' in place ? place.run : null);
        if (run !== null) unreadableRuns.add(run);
      }
    }
  };
  const see = (run: string, folder: string, at: string): void => {
    const before = runs.get(run);
    const lastAt =
      before?.lastAt === undefined || before.lastAt === null || before.lastAt < at
        ? at
        : before.lastAt;
    runs.set(run, { run, folder, lastAt, droppedAt: null });
  };

  for (const entry of entries) {
    const { key } = entry;
    const place = placeOf(key);
    switch (place.kind) {
      case 'routing': {
        const routing = await read(entry, (bytes) => decodeChecked(bytes, Routing, key));
        if (routing === null) break;
        for (const digest of [routing.champion, routing.candidate, routing.previous])
          nameCheckpoint(digest, key);
        break;
      }
      case 'promotion': {
        const record = await read(entry, (bytes) => decodeChecked(bytes, Promoted, key));
        if (record === null) break;
        const request = record.approval?.request;
        for (const digest of [record.champion, record.previous]) nameCheckpoint(digest, key);
        if (request === undefined) break;
        for (const digest of [request.candidate, request.champion.digest])
          nameCheckpoint(digest, key);
        break;
      }
      case 'dataset':
        if (place.isManifest) datasets.add(place.folder);
        break;
      case 'evaluation': {
        evaluations.add(place.digest);
        const evaluation = await read(entry, (bytes) => parseJson(bytes, Evaluated, key));
        if (evaluation === null) break;
        for (const digest of [evaluation.baseline, evaluation.candidate])
          nameCheckpoint(digest, key);
        break;
      }
      case 'evidence': {
        let evidence: EvidenceRecord | null;
        try {
          evidence = await cache.read(key, () => readEvidence(store, key));
        } catch (error) {
          evidence = unreadable(error, key);
        }
        if (evidence === null) break;
        for (const arm of [evidence.baseline, evidence.candidate]) {
          nameCheckpoint(arm.checkpoint, key);
          nameObject(arm.rewards, key);
          await nameBatches(arm.batches, key);
        }
        break;
      }
      case 'run': {
        const record = await read(entry, (bytes) => decodeChecked(bytes, RunRecord, key));
        if (record === null) break;
        see(record.run, place.run, record.openedAt);
        datasets.add(datasetFolder(record.dataset.name, record.dataset.digest));
        // A person may have asked about a checkpoint that never was.
        if (record.kind === 'evaluation') nameCheckpoint(record.candidate, key, false);
        break;
      }
      case 'dropped': {
        const record = await read(entry, (bytes) => decodeChecked(bytes, DroppedRecord, key));
        if (record !== null) dropped.set(place.run, record.droppedAt);
        break;
      }
      case 'record': {
        let record: IterationRecord | null;
        try {
          record = await cache.read(key, () => readIterationRecord(store, key));
        } catch (error) {
          record = unreadable(error, key);
          if (record === null) unreadableRuns.add(place.run);
        }
        if (record !== null) records.push({ key, folder: place.run, record });
        break;
      }
      case 'live-hour': {
        const listed = await read(entry, (bytes) => parseJson(bytes, LiveHour, key));
        if (listed === null) break;
        for (const { name, sha256, sizeBytes } of listed.segments) {
          nameObject({ key: segmentKeyOf(place, { name }), sha256, sizeBytes }, key);
        }
        break;
      }
      case 'quarantine': {
        const original = placeOf(key.replace('v1/quarantine/', 'v1/').replace(/\/[^/]+\.bin$/, ''));
        if (!key.endsWith('.bin') || !NAMING.has(original.kind)) break;
        if ('run' in original) unreadableRuns.add(original.run);
        const names = await read(entry, namesIn);
        for (const run of names?.runs ?? []) unreadableRuns.add(run);
        for (const sha256 of names?.hashes ?? []) {
          nameCheckpoint(`sha256:${sha256}`, key, false);
          held.push(blobKey(sha256));
        }
        held.push(...(names?.keys ?? []));
        break;
      }
      default:
        break; // names nothing
    }
  }

  for (const { key, folder, record } of records) {
    see(record.run, folder, record.at);
    if (record.kind === 'trained') {
      lineage.set(record.checkpoint, {
        parent: record.parent,
        base: null, // an adapter's base is its parent, or its parent's base
        replay: record.replay.after.sha256,
      });
    }
    // What was committed after a run was dropped counts again: somebody brought it back to life.
    if (alsoDropped.has(record.run)) continue;
    const droppedAt = dropped.get(folder);
    if (droppedAt !== undefined && record.at <= droppedAt) continue;
    switch (record.kind) {
      case 'created':
        nameCheckpoint(record.checkpoint, key);
        datasets.add(datasetFolder(record.dataset.name, record.dataset.digest));
        break;
      case 'scored':
        nameObject(record.rewards, key);
        await nameBatches(record.batches, key, folder);
        break;
      case 'trained':
        for (const digest of [record.checkpoint, record.parent]) nameCheckpoint(digest, key);
        for (const ref of [record.rewards, record.replay.before, record.replay.after])
          if (ref !== null) nameObject(ref, key);
        await nameBatches(record.batches, key, folder);
        break;
    }
  }
  for (const [run, facts] of runs) {
    runs.set(run, { ...facts, droppedAt: dropped.get(facts.folder) ?? null });
  }

  // Lineage: what a checkpoint was trained from stays as long as it does.
  let isLineageKnown = true;
  const pending = [...checkpoints.keys()];
  for (let digest = pending.pop(); digest !== undefined; digest = pending.pop()) {
    const from = lineage.get(digest) ?? (await readLineage(store, digest));
    if (from === 'unknown') isLineageKnown = false;
    if (from === 'none' || from === 'unknown') continue;
    lineage.set(digest, from);
    const by = checkpoints.get(digest) ?? '';
    const blob = from.replay === null ? null : blobKey(from.replay);
    if (from.replay !== null && blob !== null && !objects.has(blob)) {
      // Only the checkpoint's own word, and no length: it keeps the blob, but a missing one is no damage.
      objects.set(blob, { ref: { key: blob, sha256: from.replay, sizeBytes: -1 }, by });
    }
    if (from.base !== null) committed.add(from.base); // an adapter is nothing without it
    for (const before of [from.parent, from.base]) {
      if (before === null || checkpoints.has(before)) continue;
      checkpoints.set(before, by);
      pending.push(before);
    }
  }
  return {
    ...{ checkpoints, committed, objects, datasets, evaluations, held, unreadableRuns, runs },
    isLineageKnown,
  };
}

/**
 * What a damaged document that lies in quarantine seems to name: every key, hash and run that can still be read in it. A name that was
 * itself what got damaged is lost; all others keep what they name until a person has looked.
 */
function namesIn(bytes: Uint8Array): {
  hashes: readonly string[];
  runs: readonly string[];
  keys: readonly string[];
} {
  const text = Buffer.from(bytes).toString('latin1');
  return {
    keys: text.match(/v1\/[A-Za-z0-9._=/-]+/g) ?? [],
    hashes: text.match(/[0-9a-f]{64}/g) ?? [],
    runs: Array.from(text.matchAll(/v1\/runs\/([A-Za-z0-9._=-]+)\//g), (match) => match[1] ?? ''),
  };
}

/**
 * What writers rely on just now. To be read before the records are listed: a writer removes its claim once its record is there, so who looks
 * in this order sees one of the two.
 */
export async function readClaims(store: ObjectStore): Promise<string[]> {
  const held: string[] = [];
  for await (const { key } of store.list(claimsPrefix())) {
    const stored = await getIfPresent(store, key);
    if (stored !== null) held.push(...parseJson(stored.bytes, Claim, key).holds);
  }
  return held;
}

/** Below these lie all objects that name others. */
export const NAMING_PREFIXES = [
  policiesPrefix(),
  runsPrefix(),
  evaluationsPrefix(),
  datasetsPrefix(),
  quarantinePrefix(),
] as const;

const NAMING: ReadonlySet<PlaceKind> = new Set([
  ...(['routing', 'promotion', 'evaluation', 'evidence', 'run', 'dropped', 'record'] as const),
  'trajectories', // a batch's manifest
  'claim',
]);

import { z } from 'zod';
import { IntegrityError } from '../errors';
import { decodeCheckpoint } from '../policies/choice/checkpoint';
import { LiveLine } from '../schemas/live-line';
import { FeedbackRecord } from '../schemas/feedback';
import { RewardRecord } from '../schemas/reward';
import { readCheckpoint } from '../storage/checkpoints';
import { parseJson, readJsonLines } from '../storage/json-objects';
import { placeOf, type Place } from '../storage/layout';
import type { ObjectStore } from '../storage/object-store';
import { readEvidence, readIterationRecord } from '../storage/run-records';
import type { References } from './references';

/** How the bytes of this place are understood; throws IntegrityError where they cannot be. Null where there is nothing to understand. */
export async function insideOf(
  store: ObjectStore,
  key: string,
  place: Place,
  references: References,
): Promise<(() => Promise<unknown>) | null> {
  switch (place.kind) {
    case 'trajectories': {
      const named = references.objects.get(key);
      if (named === undefined || placeOf(named.by).kind !== 'trajectories') return null; // unnamed, or itself a batch's manifest
      return () => checkSegment(store, key);
    }
    case 'live':
      return () => checkSegment(store, key);
    case 'rewards':
      return references.objects.has(key) ? () => readJsonLines(store, key, RewardRecord) : null;
    case 'feedback':
      return () => readJsonLines(store, key, FeedbackRecord);
    case 'record':
      return () => readIterationRecord(store, key);
    case 'evidence':
      return () => readEvidence(store, key);
    case 'evaluation':
      return async () => parseJson((await store.get(key)).bytes, z.looseObject({}), key);
    case 'checkpoint':
      if (!place.isManifest) return null;
      return async () => {
        const { manifest, files } = await readCheckpoint(store, place.digest);
        if (manifest.metadata['kind'] === 'choice') decodeCheckpoint(files);
      };
    default:
      return null;
  }
}

/** Every line of its schema, and every message and toolset that a decision names before the trajectory that names it. */
async function checkSegment(store: ObjectStore, key: string): Promise<void> {
  const known = new Set<string>();
  for (const line of await readJsonLines(store, key, LiveLine)) {
    if (line.type === 'unresolved' || line.type === 'use') continue; // a call without a decision names nothing
    if (line.type !== 'trajectory') {
      known.add(line.id);
      continue;
    }
    for (const { context, toolset, output, alternatives = [] } of line.trajectory.decisions) {
      const lacking = [
        ...context,
        output,
        ...alternatives,
        ...(toolset === null ? [] : [toolset]),
      ].find((id) => !known.has(id));
      if (lacking === undefined) continue;
      throw new IntegrityError('a segment lacks what one of its decisions names', {
        context: { key, trajectory: line.trajectory.id, id: lacking },
      });
    }
  }
}

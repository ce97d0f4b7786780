import { IntegrityError } from '../errors';
import type { ObjectStore } from '../storage/object-store';
import { hourOfSegment, readLiveHour } from '../trajectories/live-hours';
import type { Found } from './check-object';

/** Whether the manifest of its hour lists a live segment, as of now. Where the hour has none, readers find the segment by listing. */
export async function isListed(store: ObjectStore, key: string): Promise<boolean> {
  const place = hourOfSegment(key);
  if (place === null) return true;
  try {
    const hour = await readLiveHour(store, place);
    return hour === null || hour.segments.some(({ name }) => name === place.name);
  } catch (error) {
    if (error instanceof IntegrityError) return true; // the manifest is reported, not its segments
    throw error;
  }
}

/** A segment that lies there and that readers do not see. */
export async function checkListed(store: ObjectStore, key: string): Promise<Found | null> {
  if ((await isListed(store, key)) || (await store.head(key)) === null) return null;
  return {
    problem: 'unlisted',
    expected: 'an entry in the manifest of its hour',
    got: 'none: readers do not see it',
    help: 'the gateway that wrote it lists it when it drains its spool again; if that is gone for good, `ratchet sessions reindex`',
    damage: null,
  };
}

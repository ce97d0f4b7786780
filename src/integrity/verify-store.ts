import { IntegrityError, NotFoundError } from '../errors';
import { Pause } from '../schemas/pause';
import { LiveHour } from '../schemas/live-hour';
import { DroppedRecord, RunRecord } from '../schemas/run-records';
import { z } from 'zod';
import { decodeChecked } from '../storage/checked-json';
import { hexOf } from '../storage/digest';
import { parseJson } from '../storage/json-objects';
import { checkpointFolder, gcStateKey } from '../storage/keys';
import { placeOf, type Place, type PlaceKind } from '../storage/layout';
import { decodeManifest, MANIFEST_FILE, type Manifest } from '../storage/manifest';
import { describeBytes } from '../storage/object-ref';
import type { ObjectEntry, ObjectStore } from '../storage/object-store';
import { quarantine, type QuarantineOutcome } from '../storage/quarantine';
import { hashInKey } from '../storage/run-records';
import { Claim, GcState } from '../storage/sweep';
import { checkDocument, checkHash, checkReading, type Found } from './check-object';
import { checkPointer } from './check-pointer';
import { readMarkFile } from './garbage-marks';
import { checkListed, isListed } from './check-listed';
import { insideOf } from './inside-of';
import { readReferences, type References } from './references';

export interface VerifyOptions {
  /** Also reads what is inside: every line of every segment, every tensor. */
  readonly isDeep: boolean;
  /** False only reports. */
  readonly doesQuarantine: boolean;
  readonly now?: () => number;
  readonly onProgress?: (progress: VerifyProgress) => void;
}

export interface VerifyProgress {
  readonly done: number;
  readonly of: number;
  readonly bytes: number;
}

export interface Finding extends Omit<Found, 'damage'> {
  readonly kind: PlaceKind;
  readonly key: string;
  /** What became of it. */
  readonly action: QuarantineOutcome | { readonly kind: 'reported' };
}

export interface Checked {
  readonly objects: number;
  readonly bytes: number;
}

export interface VerifyReport {
  readonly checked: ReadonlyMap<PlaceKind, Checked>;
  readonly findings: readonly Finding[];
  /** Objects that nothing names; `gc` removes them in time. */
  readonly unnamed: Checked;
  /** Damage that was put aside, now or before. */
  readonly inQuarantine: number;
}

/**
 * Walks the whole store: every committed directory with the digest of its manifest and the hash of each file, every blob, evaluation and
 * record, every segment that a record names, every pointer and what it points at. Reads each byte once, in chunks.
 *
 * What is damaged is put into quarantine, unless only a report is asked for; pointers stay. What somebody writes or removes meanwhile is
 * not damage.
 */
export async function verifyStore(
  store: ObjectStore,
  { isDeep, doesQuarantine, now = Date.now, onProgress }: VerifyOptions,
): Promise<VerifyReport> {
  const entries = new Map<string, ObjectEntry>();
  for await (const entry of store.list('v1/')) entries.set(entry.key, entry);
  const references = await readReferences(store, entries.values(), {
    onUnreadable: () => undefined, // each document is checked below, and reported there
  });

  const manifestOf = createManifestReader(store, entries);
  const checked = new Map<PlaceKind, { objects: number; bytes: number }>();
  const findings: Finding[] = [];
  const unnamed = { objects: 0, bytes: 0 };
  let inQuarantine = 0;
  let done = 0;
  let bytes = 0;
  const progress = (): void => onProgress?.({ done, of: entries.size, bytes });
  const onBytes = (count: number): void => {
    bytes += count;
    progress();
  };

  const report = async (kind: PlaceKind, key: string, found: Found): Promise<void> => {
    const { damage, ...rest } = found;
    let action: Finding['action'] = { kind: 'reported' };
    if (damage !== null && doesQuarantine) {
      action = await quarantine(
        store,
        { key, expected: found.expected, ...damage, reason: 'found by a walk', by: 'verify' },
        now,
      );
      if (action.kind === 'intact' || action.kind === 'gone') return; // mended or removed while we looked
      if (action.kind === 'quarantined') inQuarantine += 1;
    }
    findings.push({ kind, key, ...rest, action });
  };

  const check = async (entry: ObjectEntry, place: Place): Promise<Found | null> => {
    const { key } = entry;
    switch (place.kind) {
      case 'blob':
      case 'evaluation':
      case 'evidence':
      case 'record':
        return checkHash(store, key, { sha256: hashInKey(key) ?? '' }, onBytes);
      case 'checkpoint':
      case 'dataset': {
        if (place.isManifest)
          return checkHash(store, key, { sha256: hexOf(place.digest) }, onBytes);
        const manifest = await manifestOf(place);
        if (manifest === null) return null; // not committed, or reported with its manifest
        const expected = manifest.files[place.file];
        return expected === undefined ? null : checkHash(store, key, expected, onBytes);
      }
      case 'trajectories':
      case 'rewards': {
        const named = references.objects.get(key);
        if (named === undefined) return null;
        return checkHash(store, key, named.ref, onBytes);
      }
      case 'routing':
        return checkPointer(store, entries, place.policy, key);
      case 'promotion':
        return checkDocument(store, key, (raw) => decodeChecked(raw, z.looseObject({}), key));
      case 'run':
        return checkDocument(store, key, (raw) => decodeChecked(raw, RunRecord, key));
      case 'dropped':
        return checkDocument(store, key, (raw) => decodeChecked(raw, DroppedRecord, key));
      case 'pause':
        return checkDocument(store, key, (raw) => parseJson(raw, Pause, key));
      case 'erasure':
        return checkHash(store, key, { sha256: hashInKey(key) ?? '' }, onBytes);
      case 'claim':
        return checkDocument(store, key, (raw) => parseJson(raw, Claim, key));
      case 'gc':
        return key === gcStateKey()
          ? checkDocument(store, key, (raw) => parseJson(raw, GcState, key))
          : checkReading(() => readMarkFile(store, key)); // damaged, it would stop every collection
      case 'live-hour':
        return checkDocument(store, key, (raw) => parseJson(raw, LiveHour, key));
      case 'live': {
        const named = references.objects.get(key);
        if (named === undefined) return checkListed(store, key);
        const found = await checkHash(store, key, named.ref, onBytes);
        return found !== null && (await isListed(store, key)) ? found : null;
      }
      case 'state':
      case 'feedback':
      case 'quarantine':
      case 'probe':
      case 'unknown':
        return null; // nothing says what must be in them
    }
  };

  const isNamed = (key: string, place: Place): boolean => {
    if (place.kind === 'trajectories' || place.kind === 'rewards' || place.kind === 'blob')
      return references.objects.has(key);
    if (place.kind === 'checkpoint') return references.checkpoints.has(place.digest);
    if (place.kind === 'dataset') return references.datasets.has(place.folder);
    return place.kind !== 'state' && place.kind !== 'claim' && place.kind !== 'probe';
  };

  for (const entry of entries.values()) {
    const place = placeOf(entry.key);
    if (place.kind === 'quarantine') {
      if (entry.key.endsWith('.bin')) inQuarantine += 1;
    } else if (!isNamed(entry.key, place)) {
      unnamed.objects += 1;
      unnamed.bytes += entry.sizeBytes;
    }
    try {
      const found =
        (await check(entry, place)) ??
        (isDeep ? await checkInside(store, entry.key, place, references) : null);
      if (found !== null) await report(place.kind, entry.key, found);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error; // else it was removed since it was listed
    }
    const tally = checked.get(place.kind) ?? { objects: 0, bytes: 0 };
    checked.set(place.kind, {
      objects: tally.objects + 1,
      bytes: tally.bytes + entry.sizeBytes,
    });
    done += 1;
    progress();
  }

  for (const { kind, key, expected, by } of mustExist(entries, references, await manifests())) {
    if ((await store.head(key)) !== null) continue; // written since it was listed
    if (kind === 'live' && !(await isListed(store, key))) continue; // erased since it was listed
    findings.push({
      ...{ kind, key, problem: 'missing', expected, got: 'no object' },
      action: { kind: 'reported' },
      help: `restore it from a copy; it is named by ${by}`,
    });
  }
  return { checked, findings, unnamed, inQuarantine };

  async function manifests(): Promise<Map<string, Readonly<Record<string, unknown>>>> {
    const found = new Map<string, Readonly<Record<string, unknown>>>();
    for (const key of entries.keys()) {
      const place = placeOf(key);
      if (!('isManifest' in place) || !place.isManifest) continue;
      const manifest = await manifestOf(place);
      if (manifest !== null) found.set(place.folder, manifest.files);
    }
    return found;
  }
}

interface Required {
  readonly kind: PlaceKind;
  readonly key: string;
  readonly expected: string;
  readonly by: string;
}

/** Objects that something committed names, and that the listing lacks. */
function* mustExist(
  entries: ReadonlyMap<string, ObjectEntry>,
  references: References,
  directories: ReadonlyMap<string, Readonly<Record<string, unknown>>>,
): Generator<Required> {
  for (const [key, { ref, by }] of references.objects) {
    if (ref.sizeBytes >= 0 && !entries.has(key))
      yield { kind: placeOf(key).kind, key, expected: describeBytes(ref), by };
  }
  for (const digest of references.committed) {
    const key = `${checkpointFolder(digest)}${MANIFEST_FILE}`;
    const by = references.checkpoints.get(digest) ?? 'a record';
    if (!entries.has(key)) yield { kind: 'checkpoint', key, expected: digest, by };
  }
  for (const folder of references.datasets) {
    const key = `${folder}${MANIFEST_FILE}`;
    if (!entries.has(key)) yield { kind: 'dataset', key, expected: folder, by: 'a run' };
  }
  for (const [folder, files] of directories) {
    for (const file of Object.keys(files)) {
      const key = `${folder}${file}`;
      const by = `${folder}${MANIFEST_FILE}`;
      if (!entries.has(key)) yield { kind: placeOf(key).kind, key, expected: 'the file', by };
    }
  }
}

type DirectoryPlace = Extract<Place, { kind: 'checkpoint' | 'dataset' }>;
type ManifestOf = (place: DirectoryPlace) => Promise<Manifest | null>;

/** The manifest of the directory that a file lies in; null where there is none that can be read. Keeps the last one: files come together. */
function createManifestReader(
  store: ObjectStore,
  entries: ReadonlyMap<string, ObjectEntry>,
): ManifestOf {
  let last: { readonly folder: string; readonly manifest: Manifest | null } | null = null;
  const read = async ({ kind, folder, digest }: DirectoryPlace): Promise<Manifest | null> => {
    const key = `${folder}${MANIFEST_FILE}`;
    if (!entries.has(key)) return null;
    try {
      return decodeManifest((await store.get(key)).bytes, kind, digest, key);
    } catch (error) {
      if (error instanceof IntegrityError || error instanceof NotFoundError) return null;
      throw error;
    }
  };
  return async (place) => {
    if (last?.folder !== place.folder) {
      last = { folder: place.folder, manifest: await read(place) };
    }
    return last.manifest;
  };
}

/** What only someone who understands the bytes can see: lines that do not parse, messages that are named and not there, tensors that do not fit. */
async function checkInside(
  store: ObjectStore,
  key: string,
  place: Place,
  references: References,
): Promise<Found | null> {
  const inside = await insideOf(store, key, place, references);
  const found = inside === null ? null : await checkReading(inside);
  // A live or late row that does not parse is damage of a segment that nobody's hash vouches for; elsewhere the bytes are as written.
  const isOwnWord = place.kind === 'live' || place.kind === 'feedback';
  return found === null || isOwnWord ? found : { ...found, damage: null };
}

import { runKey } from '../loop/run-key';
import type { OpenWorkflows } from '../ports/open-workflows';
import { encodeChecked } from '../storage/checked-json';
import { runDroppedKey } from '../storage/keys';
import { placeOf, type PlaceKind } from '../storage/layout';
import type { Etag, ObjectEntry, ObjectStore } from '../storage/object-store';
import { becomeCollector, type CollectorState } from './collector-state';
import { readMarks, writeMarks } from './garbage-marks';
import { createDocumentCache, type DocumentCache } from './document-cache';
import { NAMING_PREFIXES, readClaims, readReferences, type References } from './references';

export interface CollectOptions {
  readonly workflows: OpenWorkflows;
  /** Removed is what has been garbage for so long. */
  readonly olderThanMs: number;
  /** Runs that ended so long ago lose their trajectories, and the checkpoints that nothing else reaches; null keeps them. */
  readonly runsOlderThanMs: number | null;
  /** Changes nothing, and says what would be removed. */
  readonly isDryRun: boolean;
  readonly now?: () => number;
  readonly onProgress?: (progress: CollectProgress) => void;
  /** After so long without a sign of life a collection counts as dead. For tests. */
  readonly deadAfterMs?: number;
}

export interface CollectProgress {
  readonly doing: 'waiting for a collection that seems dead' | 'listing' | 'reading' | 'removing';
  readonly done: number;
}

export interface Tally {
  readonly objects: number;
  readonly bytes: number;
}

export interface CollectReport {
  /** By kind of object. On a dry run, what would be. */
  readonly removed: ReadonlyMap<PlaceKind, Tally>;
  /** Garbage that is not old enough. */
  readonly waiting: ReadonlyMap<PlaceKind, Tally>;
  readonly kept: Tally;
  /** Runs that were dropped by this collection; on a dry run, that would be. */
  readonly dropped: readonly string[];
  /** Keys that are none of the layout: nobody touches them. */
  readonly unknown: number;
  /** Why something was kept that else might have gone. */
  readonly notes: readonly string[];
}

interface Garbage {
  readonly entry: ObjectEntry;
  readonly etag: Etag;
  readonly kind: PlaceKind;
  readonly since: number;
}

/**
 * Removes what nothing names. Reachable, and never removed, is all that routing pointers, promotion records, evaluations and the records of
 * runs name, with the checkpoints that those were trained from; and datasets, late rewards and live sessions as they are.
 *
 * Order is what makes it safe beside running work: objects are listed first; then it is asked which workflows are open; then the records are
 * read. So an object on the list whose run is not open was either named by a record that is seen now, or never will be. Content, which anyone
 * may commit again at any time, is removed under the protocol of storage/sweep.ts.
 *
 * After a crash at any line: some garbage is gone and some is not, and every manifest went before its files; run it again.
 *
 * @throws {IntegrityError} if a record is damaged, before anything is removed: what it names is not known.
 * @throws {ConflictError} if another collection is running.
 */
export async function collectGarbage(
  store: ObjectStore,
  options: CollectOptions,
): Promise<CollectReport> {
  const { isDryRun, now = Date.now, deadAfterMs, onProgress } = options;
  if (isDryRun) return collect(store, options, null);
  const state = await becomeCollector(store, {
    now,
    onWaiting: () => onProgress?.({ doing: 'waiting for a collection that seems dead', done: 0 }),
    ...(deadAfterMs === undefined ? {} : { deadAfterMs }),
  });
  let report: CollectReport;
  try {
    report = await collect(store, options, state);
  } catch (error) {
    await state.abandon(); // a delete without an answer may land late: writers give it the time that they give the dead
    throw error;
  }
  await state.release();
  return report;
}

async function collect(
  store: ObjectStore,
  options: CollectOptions,
  state: CollectorState | null,
): Promise<CollectReport> {
  const { workflows, olderThanMs, runsOlderThanMs, now = Date.now, onProgress } = options;
  const nowMs = now();
  const cache = createDocumentCache();
  const notes: string[] = [];

  const entries: ObjectEntry[] = [];
  for await (const entry of store.list('v1/')) {
    entries.push(entry);
    if (entries.length % 1_000 === 0) onProgress?.({ doing: 'listing', done: entries.length });
  }
  const openIds = await workflows.openWorkflowIds();
  const isOpen = openRuns(openIds);
  onProgress?.({ doing: 'reading', done: 0 });
  let references = await namedIn(store, { cache });

  const dropped =
    runsOlderThanMs === null ? [] : runsToDrop(references, isOpen, nowMs - runsOlderThanMs);
  if (dropped.length > 0) {
    for (const run of state === null ? [] : dropped) {
      const record = { formatVersion: 1, run, droppedAt: new Date(nowMs).toISOString() };
      await store.put(runDroppedKey(run), encodeChecked(record));
    }
    references = await namedIn(store, { cache, alsoDropped: new Set(dropped) });
  }

  const marks = await readMarks(store, nowMs);
  const isGarbage = (entry: ObjectEntry, named: References): boolean =>
    isUnreferenced(entry.key, named, isOpen);

  const unnamed: { readonly entry: ObjectEntry; readonly kind: PlaceKind }[] = [];
  const kept = { objects: 0, bytes: 0 };
  let unknown = 0;
  for (const entry of entries) {
    const { kind } = placeOf(entry.key);
    if (kind === 'unknown') unknown += 1;
    if (isGarbage(entry, references)) {
      unnamed.push({ entry, kind });
    } else {
      kept.objects += 1;
      kept.bytes += entry.sizeBytes;
    }
  }
  // A listing tells no versions, and a version that was written anew is as young as that.
  const garbage: Garbage[] = [];
  await inParallel(unnamed, async ({ entry, kind }) => {
    const head = await store.head(entry.key);
    if (head === null) return; // its writer removed it since it was listed
    const { etag } = head;
    garbage.push({ entry, etag, kind, since: marks.since({ key: entry.key, etag }) ?? nowMs });
  });
  if (!references.isLineageKnown) {
    notes.push(
      'checkpoints and blobs were kept: a checkpoint that is named cannot say what it was trained from; see `ratchet store verify`',
    );
  }
  for (const run of references.unreadableRuns)
    notes.push(`run ${run} was kept whole: one of its records cannot be read`);

  const isOld = ({ kind, since }: Garbage): boolean =>
    since <= nowMs - (kind === 'claim' ? Math.max(olderThanMs, CLAIM_MS) : olderThanMs);
  const doomed = garbage.filter(isOld);
  const removed = new Map<PlaceKind, Tally>();
  if (state === null) {
    for (const one of doomed) count(removed, one);
  } else {
    await writeMarks(
      store,
      garbage.map(({ entry: { key }, etag, since }) => ({ key, etag, since })),
    );
    let done = 0;
    const remove = async (one: Garbage): Promise<void> => {
      state.assertAlive();
      await store.delete(one.entry.key);
      count(removed, one);
      done += 1;
      if (done % 100 === 0) onProgress?.({ doing: 'removing', done });
    };
    const isContent = ({ kind }: Garbage): boolean => CONTENT.has(kind);
    await inParallel(
      doomed.filter((one) => !isContent(one)),
      remove,
    );
    const content = doomed.filter(isContent);
    if (content.length > 0) {
      await state.enter('sweeping');
      // Whoever claims content from now on waits for us; who did before is seen here.
      const latest = await namedIn(store, { cache });
      const condemned = content.filter(({ entry }) => isGarbage(entry, latest));
      // Manifests first, and all of them: a directory without its manifest is none, one without a file is damaged.
      const isManifest = ({ entry }: Garbage): boolean => entry.key.endsWith('/manifest.json');
      await inParallel(condemned.filter(isManifest), remove);
      await inParallel(
        condemned.filter((one) => !isManifest(one)),
        remove,
      );
      await state.enter('marking');
    }
  }
  const waiting = new Map<PlaceKind, Tally>();
  for (const one of garbage) if (!isOld(one)) count(waiting, one);
  return { removed, waiting, kept, dropped, unknown, notes };
}

/** Kinds whose keys name their content: anyone may commit the same again. */
const CONTENT: ReadonlySet<PlaceKind> = new Set<PlaceKind>(['blob', 'checkpoint', 'dataset']);

function isUnreferenced(
  key: string,
  named: References,
  isOpen: (folder: string) => boolean,
): boolean {
  const { checkpoints, objects, datasets, evaluations, held, unreadableRuns } = named;
  const areNamesKnown = named.isLineageKnown && unreadableRuns.size === 0;
  if (objects.has(key)) return false;
  if (held.some((one) => (one.endsWith('/') ? key.startsWith(one) : key === one))) return false;
  const place = placeOf(key);
  switch (place.kind) {
    case 'trajectories':
    case 'rewards':
    case 'state':
      return !isOpen(place.run) && !unreadableRuns.has(place.run);
    case 'checkpoint':
      return areNamesKnown && !checkpoints.has(place.digest);
    case 'blob':
      return areNamesKnown;
    case 'dataset':
      return !datasets.has(place.folder); // a committed one stays: the next run registers it again, and finds it
    case 'evidence':
      return !evaluations.has(place.digest);
    case 'claim':
    case 'probe':
      return true; // of writers that died: the living remove theirs long before it is old
    case 'evaluation':
    case 'routing':
    case 'promotion':
    case 'run':
    case 'dropped':
    case 'record':
    case 'feedback':
    case 'live':
    case 'live-hour':
    case 'pause':
    case 'erasure':
    case 'gc':
    case 'quarantine':
    case 'unknown':
      return false;
  }
}

/** Whether a run's folder may belong to one of these workflows. By its name's beginning, so that all runs of an id count, and select rollouts. */
function openRuns(workflowIds: ReadonlySet<string>): (folder: string) => boolean {
  // A folder's name that got too long keeps its first 80 characters.
  const beginnings = Array.from(workflowIds, (id) => runKey(id, '').slice(0, 80));
  return (folder) => beginnings.some((beginning) => folder.startsWith(beginning));
}

const SELECT = '.select';

/** Runs whose newest record, its own or of its select rollouts, is from before `beforeMs`. */
function runsToDrop(
  { runs }: References,
  isOpen: (folder: string) => boolean,
  beforeMs: number,
): string[] {
  const newest = new Map<string, number>();
  const nameOf = (run: string): string =>
    run.endsWith(SELECT) ? run.slice(0, -SELECT.length) : run;
  for (const { run, lastAt } of runs.values()) {
    const at = lastAt === null ? Infinity : Date.parse(lastAt);
    newest.set(nameOf(run), Math.max(newest.get(nameOf(run)) ?? 0, at));
  }
  return [...runs.values()]
    .filter(({ run, folder, droppedAt, lastAt }) => {
      const isDropped = droppedAt !== null && (lastAt ?? '') <= droppedAt;
      return !isDropped && !isOpen(folder) && (newest.get(nameOf(run)) ?? Infinity) <= beforeMs;
    })
    .map(({ run }) => run)
    .sort();
}

/** What everything names that names others. Claims first, and read to their end: see there. */
async function namedIn(
  store: ObjectStore,
  options: { readonly cache: DocumentCache; readonly alsoDropped?: ReadonlySet<string> },
): Promise<References> {
  const claimed = await readClaims(store);
  const documents: ObjectEntry[] = [];
  for (const prefix of NAMING_PREFIXES)
    for await (const entry of store.list(prefix)) documents.push(entry);
  return readReferences(store, documents, { ...options, claimed });
}

/** No commit takes so long: a claim of this age is of a writer that died, however little the operator wants to wait. */
const CLAIM_MS = 60 * 60 * 1000;

const AT_ONCE = 16;

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await work(items[index] as T);
  };
  // All lanes are waited for: nothing is removed after this has thrown.
  const lanes = await Promise.allSettled(
    Array.from({ length: Math.min(AT_ONCE, items.length) }, lane),
  );
  const failed = lanes.find((lane) => lane.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

function count(into: Map<PlaceKind, Tally>, { kind, entry }: Garbage): void {
  const { objects, bytes } = into.get(kind) ?? { objects: 0, bytes: 0 };
  into.set(kind, { objects: objects + 1, bytes: bytes + entry.sizeBytes });
}

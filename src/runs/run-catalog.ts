import { IntegrityError, InvalidInputError } from '../errors';
import type { Estimate } from '../schemas/estimate';
import type { Digest } from '../schemas/ids';
import type {
  CreatedRecord,
  IterationRecord,
  RunRecord,
  ScoredRecord,
  TrainedRecord,
} from '../schemas/run-records';
import { DroppedRecord } from '../schemas/run-records';
import { decodeChecked } from '../storage/checked-json';
import { runDroppedKey, runPrefix, runsPrefix } from '../storage/keys';
import { placeOf } from '../storage/layout';
import { getIfPresent } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import { readIterationRecord, readRunRecord } from '../storage/run-records';

/** A run as its records tell it: no server is asked. */
export interface StoredRun {
  readonly run: string;
  /** Null for what has no record of its own: the select rollouts of a training, and runs of an older version. */
  readonly record: RunRecord | null;
  readonly created: CreatedRecord | null;
  /** By iteration, from 0, in order; a gap is an iteration that committed nothing. */
  readonly iterations: readonly StoredIteration[];
  /** When its newest record was made. */
  readonly lastAt: string | null;
  /** When garbage collection took its trajectories; null while they are there. */
  readonly droppedAt: string | null;
}

export interface StoredIteration {
  readonly iteration: number;
  /** The batch that counts: the one that was trained on, else the newest. */
  readonly scored: ScoredRecord | null;
  readonly trained: TrainedRecord | null;
  /** Batches that were scored and not used: the iteration was run again. */
  readonly repeated: number;
}

export interface RunSummary {
  readonly run: string;
  readonly kind: RunRecord['kind'];
  readonly policy: string;
  /** Trained iterations, and how many were asked for; null for an evaluation. */
  readonly iterations: { readonly done: number; readonly of: number } | null;
  readonly reward: Estimate | null;
  readonly checkpoint: Digest | null;
  readonly openedAt: string;
  readonly lastAt: string;
  readonly droppedAt: string | null;
}

/** Folders below `v1/runs/`. */
async function* runFolders(store: ObjectStore): AsyncGenerator<string> {
  let after: string | undefined;
  for (;;) {
    let folder: string | undefined;
    const options = { limit: 1, ...(after === undefined ? {} : { after }) };
    for await (const { key } of store.list(runsPrefix(), options)) {
      folder = key.slice(runsPrefix().length).split('/')[0] ?? '';
    }
    if (folder === undefined) return;
    yield folder;
    // Past everything in the folder: `0` is the character after `/`.
    after = `${runsPrefix()}${folder}0`;
  }
}

/**
 * The newest first.
 *
 * @param onDamaged told of a run whose records cannot be read, which is left out: one must not hide all the others.
 */
export async function listRuns(
  store: ObjectStore,
  onDamaged: (run: string, error: IntegrityError) => void,
): Promise<RunSummary[]> {
  const summaries: RunSummary[] = [];
  for await (const folder of runFolders(store)) {
    const stored = await readStoredRun(store, folder).catch((error: unknown) => {
      if (!(error instanceof IntegrityError)) throw error;
      onDamaged(folder, error);
      return null;
    });
    if (stored === null || stored.record === null) continue;
    const { run, record, iterations, created, lastAt, droppedAt } = stored;
    const trained = iterations.filter((one) => one.trained !== null);
    summaries.push({
      ...{ run, kind: record.kind, policy: record.policy, droppedAt },
      iterations:
        record.kind === 'training' ? { done: trained.length, of: record.config.iterations } : null,
      reward: iterations.findLast(({ scored }) => scored !== null)?.scored?.reward ?? null,
      checkpoint:
        record.kind === 'evaluation'
          ? record.candidate
          : (trained.at(-1)?.trained?.checkpoint ?? created?.checkpoint ?? null),
      openedAt: record.openedAt,
      lastAt: lastAt ?? record.openedAt,
    });
  }
  return summaries.sort((a, b) => (a.lastAt < b.lastAt ? 1 : a.lastAt > b.lastAt ? -1 : 0));
}

/**
 * The run that is meant: its whole name, or a beginning of it that only one run has, such as its workflow id.
 *
 * @throws {InvalidInputError} if there is none or more than one, with the names that there are.
 */
export async function findRun(store: ObjectStore, name: string): Promise<StoredRun> {
  const found: string[] = [];
  const others: string[] = [];
  for await (const folder of runFolders(store)) {
    if (folder === name) return readStoredRun(store, folder);
    (folder.startsWith(name) && !folder.endsWith(SELECT) ? found : others).push(folder);
  }
  // `desk-1` is the beginning of `desk-1.<run id>`, and of its evaluations `desk-1.gate-1.<run id>`, which are not meant.
  const own = found.filter((folder) => !folder.slice(name.length + 1).includes('.'));
  const candidates = own.length > 0 ? own : found;
  const [only] = candidates;
  if (candidates.length === 1 && only !== undefined) return readStoredRun(store, only);
  if (candidates.length > 1) {
    throw new InvalidInputError(
      `more than one run begins with ${name}: expected one, got ${list(candidates)}`,
    );
  }
  throw new InvalidInputError(
    others.length === 0
      ? `there is no run ${name}: the store holds none yet`
      : `there is no run ${name}: expected one of ${list(others)}; \`ratchet runs list\` shows all`,
  );
}

const SELECT = '.select';

/** The select rollouts of a training run; null if none were scored. */
export async function readSelectRun(store: ObjectStore, run: string): Promise<StoredRun | null> {
  const stored = await readStoredRun(store, `${run}${SELECT}`);
  return stored.iterations.length === 0 ? null : stored;
}

/** @param run its name, or its folder's: a name that fits into a key is the same. */
async function readStoredRun(store: ObjectStore, run: string): Promise<StoredRun> {
  const records: IterationRecord[] = [];
  for await (const { key } of store.list(runPrefix(run))) {
    if (placeOf(key).kind === 'record') records.push(await readIterationRecord(store, key));
  }
  const record = await readRunRecord(store, run);
  const key = runDroppedKey(run);
  const dropped = await getIfPresent(store, key);
  const times = [...records.map(({ at }) => at), ...(record === null ? [] : [record.openedAt])];
  return {
    run: record?.run ?? records[0]?.run ?? run,
    record,
    created: records.find((one) => one.kind === 'created') ?? null,
    iterations: toIterations(records),
    lastAt: times.sort().at(-1) ?? null,
    droppedAt: dropped === null ? null : decodeChecked(dropped.bytes, DroppedRecord, key).droppedAt,
  };
}

function toIterations(records: readonly IterationRecord[]): StoredIteration[] {
  const numbers = new Set(
    records.filter(({ kind }) => kind !== 'created').map(({ iteration }) => iteration),
  );
  return [...numbers]
    .sort((a, b) => a - b)
    .map((iteration) => {
      const here = records.filter((one) => one.iteration === iteration);
      const trained = newest(here.filter((one) => one.kind === 'trained'));
      const scored = here.filter((one) => one.kind === 'scored');
      const used = scored.find(({ rewards }) => rewards.key === trained?.rewards.key);
      // A batch that was scored twice, because an answer got lost, is one batch.
      const batches = new Set(scored.map((one) => one.batches.map(({ key }) => key).join('\n')));
      return {
        iteration,
        trained,
        scored: used ?? newest(scored),
        repeated: Math.max(0, batches.size - 1),
      };
    });
}

function newest<T extends { readonly at: string }>(records: readonly T[]): T | null {
  return records.reduce<T | null>(
    (best, one) => (best === null || one.at >= best.at ? one : best),
    null,
  );
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

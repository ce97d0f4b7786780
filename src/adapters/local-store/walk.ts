import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidInputError } from '../../errors';
import { isKey } from '../../storage/keys';
import type { ListOptions, ObjectEntry } from '../../storage/object-store';
import { nullIfMissing } from './fs-errors';
import { fromDiskName, isReplacements, toDiskName } from './paths';
import { currentVersion } from './versions';

/** Entries whose versions are looked up at the same time: enough to hide the latency of stat, few enough for a small `limit`. */
const LOOKUPS = 64;

/** Every object below `objects` whose key starts with `prefix`, in byte order of keys. */
export async function* walk(
  objects: string,
  prefix: string,
  { after = '', limit = Infinity }: ListOptions,
): AsyncGenerator<ObjectEntry> {
  let left = limit;
  let pending: string[] = [];
  for await (const key of keysIn(objects, '', prefix, after)) {
    if (left <= 0) return;
    pending.push(key);
    if (pending.length < Math.min(LOOKUPS, left)) continue;
    for (const entry of await lookUp(objects, pending)) {
      yield entry;
      left--;
    }
    pending = [];
  }
  if (left <= 0) return;
  yield* (await lookUp(objects, pending)).slice(0, left);
}

/** Keys below one folder (`''` or with its slash). Also names that were deleted; `lookUp` leaves those out. */
async function* keysIn(
  objects: string,
  folder: string,
  prefix: string,
  after: string,
): AsyncGenerator<string> {
  const entries = await nullIfMissing(
    readdir(join(objects, toDiskName(folder)), { withFileTypes: true }),
  );
  // An object that was replaced has two entries, later only the one with its replacements: a set.
  const names = new Set<string>();
  for (const entry of entries ?? []) {
    const spelled = fromDiskName(entry.name);
    const name = isReplacements(spelled) ? spelled.slice(0, -1) : spelled;
    if (!isKey(folder + name)) continue; // no put made it: an editor's copy, a file that a network disk keeps while it is open
    if (entry.isSymbolicLink())
      await assertNoFolderBehind(join(objects, toDiskName(folder + name)));
    // The slash takes part in the order: "a-b" comes before "a/b".
    names.add(name === spelled && entry.isDirectory() ? `${name}/` : name);
  }
  for (const name of [...names].sort((a, b) => (a < b ? -1 : 1))) {
    const key = folder + name;
    if (name.endsWith('/')) {
      const mayMatch = key.startsWith(prefix) || prefix.startsWith(key);
      if (mayMatch && (key > after || after.startsWith(key))) {
        yield* keysIn(objects, key, prefix, after);
      }
    } else if (key.startsWith(prefix) && key > after) {
      yield key;
    }
  }
}

/**
 * A linked folder can be read through its keys, and following it here could go round in circles. Left out without a word, the records in it
 * would not be seen, and what they name would be garbage.
 */
async function assertNoFolderBehind(path: string): Promise<void> {
  const found = await nullIfMissing(stat(path));
  if (found === null || !found.isDirectory()) return;
  throw new InvalidInputError(
    'a folder in the local store is a symbolic link: expected a folder; put the folder itself there, or move the whole store and name its new place in RATCHET_STORE',
    { context: { path } },
  );
}

async function lookUp(objects: string, keys: readonly string[]): Promise<ObjectEntry[]> {
  const entries = await Promise.all(
    keys.map(async (key) => {
      const version = await currentVersion(join(objects, toDiskName(key)));
      if (version.stat === null) return [];
      return [{ key, sizeBytes: Number(version.stat.size) }];
    }),
  );
  return entries.flat();
}

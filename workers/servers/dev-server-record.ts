import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InvalidInputError } from '../../src/errors';
import { ownerSchema, readNote, writeNote } from './server-owner';

/**
 * What the process table cannot tell about a state folder's server: until when it is to live, and by which version its
 * database was made. `creating` stands there from before the first start until the server served for the first time.
 */
const recordSchema = ownerSchema.extend({
  database: z.object({ state: z.enum(['creating', 'ready']), madeBy: z.string() }),
});
export type DevServerRecord = z.infer<typeof recordSchema>;

export function readRecord(stateDir: string): Promise<DevServerRecord | undefined> {
  return readNote(recordPath(stateDir), recordSchema);
}

export function writeRecord(stateDir: string, record: DevServerRecord): Promise<void> {
  return writeNote(recordPath(stateDir), record);
}

const recordPath = (stateDir: string): string => join(stateDir, 'temporal.json');

/**
 * Decides whether an existing database may be opened by this version. SQLite databases of the dev server carry no schema
 * version and are never migrated, so another server version would fail in the middle of some query.
 *
 * @returns the record's new `database` part: 'ready' for one that served before, 'creating' for one that is to be made.
 * @throws {InvalidInputError} if it was made by another server version.
 */
export async function prepareDatabase(
  database: string,
  record: DevServerRecord | undefined,
  version: string,
  notify: (message: string) => void,
): Promise<DevServerRecord['database']> {
  const fresh = { state: 'creating', madeBy: version } as const;
  if (!existsSync(database)) return fresh;
  if (record === undefined) return { state: 'ready', madeBy: version };
  if (record.database.state === 'creating') {
    // Killed while it made its tables: the server would take them for complete. Kept, in case someone wants to look.
    const aside = `${database}.incomplete-${Date.now()}`;
    for (const suffix of ['', '-wal', '-shm', '-journal']) {
      if (existsSync(database + suffix)) await rename(database + suffix, aside + suffix);
    }
    notify(`the first start on ${database} was interrupted: what there was is now ${aside}`);
    return fresh;
  }
  const { madeBy } = record.database;
  if (serverMinor(madeBy) !== serverMinor(version)) {
    throw new InvalidInputError(
      `the database was made by another version: expected ${version}, got ${madeBy}; ${moveAway(database)}, ` +
        'or set TEMPORAL_CLI to that version',
      { context: { database } },
    );
  }
  return record.database;
}

export function moveAway(database: string): string {
  return `to start anew, move it away: mv '${database}' '${database}.old'`;
}

/** `1.31` of `temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)`: the schema changes with it. */
function serverMinor(version: string): string {
  return /Server (\d+\.\d+)/.exec(version)?.[1] ?? version;
}

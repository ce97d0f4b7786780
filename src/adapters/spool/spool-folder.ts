import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import type { Disk } from './disk';
import { codeOf } from './disk';
import { logNumber } from './log-file';

/** A process, so that no later one with the same pid is taken for it. */
export interface ProcessName {
  readonly pid: number;
  /** Differs between any two processes that ever had this pid on this machine. */
  readonly identity: string;
  readonly host: string;
}

export interface Processes {
  readonly self: ProcessName;
  /** The identity of whoever has this pid now; undefined if nobody has. */
  identityOf(pid: number): Promise<string | undefined>;
}

/** A folder that is ours: nobody else writes to it, and nobody else drains it. */
export interface SpoolFolder {
  readonly name: string;
  readonly path: string;
  /** Whether another process took it over because it thought us dead. What we wrote before this said no, that process has read. */
  isLost(): Promise<boolean>;
  /** Says that we live to processes on other hosts, which cannot look. */
  renew(): Promise<void>;
  /** Gives it up as it is, for anyone to adopt. */
  release(): Promise<void>;
  /** Removes it, unless there is a log in it: then it is anyone's to adopt. */
  remove(): Promise<void>;
}

const FOLDER = /^[0-9a-f]{16}$/;
const OWNER = /^owner-(\d{6})\.json$/;
/** A holder on another host counts as dead when it has not renewed for so long. */
export const FOREIGN_LEASE_MS = 60_000;
const UNFINISHED_MS = 60 * 60 * 1000;
const NOBODY: ProcessName = { pid: 0, identity: '', host: '' };

const Owner = z.object({ pid: z.int(), identity: z.string(), host: z.string() });

/** Makes a folder of a new name. It appears with its owner in it, so nobody sees one without. */
export async function createFolder(
  disk: Disk,
  root: string,
  { self }: Processes,
): Promise<SpoolFolder> {
  const name = randomBytes(8).toString('hex');
  const unfinished = join(root, `new-${name}`);
  await disk.makeFolder(unfinished);
  await writeOwner(disk, join(unfinished, ownerFile(1)), self);
  await disk.rename(unfinished, join(root, name));
  await disk.syncFolder(root);
  return ownFolder(disk, root, name, 1);
}

/**
 * Takes over the folders whose owners died. Owners have numbers, and the next owner is whoever makes the file of the next number (link(2) fails
 * if it exists): there is no lock to break, exactly one of several adopters gets a folder, and one that dies is followed by the next number.
 *
 * One that cannot be looked into keeps no other from being adopted: what failed is thrown after the last.
 *
 * @param onAdopted if it throws, the folder is given up again.
 */
export async function adoptFolders(
  disk: Disk,
  root: string,
  processes: Processes,
  isOurs: (name: string) => boolean,
  onAdopted: (folder: SpoolFolder) => Promise<void>,
): Promise<void> {
  const errors: unknown[] = [];
  const adopt = async (name: string): Promise<void> => {
    if (name.startsWith('new-')) await sweepUnfinished(disk, join(root, name));
    if (!FOLDER.test(name) || isOurs(name)) return;
    const number = await lastOwner(disk, join(root, name));
    if (number > 0 && (await isAlive(disk, join(root, name, ownerFile(number)), processes))) return;
    if (!(await claim(disk, join(root, name), number + 1, processes.self))) return;
    const folder = ownFolder(disk, root, name, number + 1);
    try {
      await onAdopted(folder);
    } catch (error) {
      await folder.release();
      throw error;
    }
  };
  for (const name of (await disk.list(root)) ?? []) {
    await adopt(name).catch((error: unknown) => errors.push(error));
  }
  if (errors.length > 0) throw errors[0];
}

function ownFolder(disk: Disk, root: string, name: string, number: number): SpoolFolder {
  const path = join(root, name);
  const exists = async (owner: number): Promise<boolean> =>
    (await disk.stat(join(path, ownerFile(owner)))) !== null;
  return {
    name,
    path,
    async isLost() {
      // Both: an adopter that is done removes the whole folder, older owners first.
      const [isThere, isFollowed] = await Promise.all([exists(number), exists(number + 1)]);
      return !isThere || isFollowed;
    },
    renew: () => disk.touch(join(path, ownerFile(number))),
    // Numbers only grow: an owner that was thought dead and wakes up must find its number followed for ever.
    release: async () => void (await claim(disk, path, number + 1, NOBODY)),
    async remove() {
      const names = ((await disk.list(path)) ?? []).sort(); // owners by number
      for (const file of names) {
        if (logNumber(file) === null) await disk.remove(join(path, file));
      }
      await disk.removeFolder(path);
    },
  };
}

async function lastOwner(disk: Disk, path: string): Promise<number> {
  const numbers = ((await disk.list(path)) ?? []).map((name) => Number(OWNER.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

async function isAlive(disk: Disk, path: string, processes: Processes): Promise<boolean> {
  const found = await disk.stat(path);
  if (found === null) return true; // being removed just now: not ours to take
  const owner = await readOwner(disk, path);
  if (owner.host === processes.self.host) {
    return (await processes.identityOf(owner.pid)) === owner.identity;
  }
  return owner.host !== NOBODY.host && Date.now() - found.modifiedAt < FOREIGN_LEASE_MS;
}

async function readOwner(disk: Disk, path: string): Promise<ProcessName> {
  try {
    return Owner.parse(JSON.parse((await disk.read(path)).toString()));
  } catch {
    return NOBODY; // damaged on disk: who it was cannot be known, and adopting a living one's folder loses nothing
  }
}

async function claim(
  disk: Disk,
  path: string,
  number: number,
  owner: ProcessName,
): Promise<boolean> {
  const written = join(path, `claim-${randomBytes(8).toString('hex')}`);
  try {
    await writeOwner(disk, written, owner);
    return await disk.link(written, join(path, ownerFile(number)));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false; // the folder was drained and removed by somebody else
    throw error;
  } finally {
    await disk.remove(written);
  }
}

async function writeOwner(disk: Disk, path: string, owner: ProcessName): Promise<void> {
  const file = await disk.create(path);
  try {
    await file.write(Buffer.from(`${JSON.stringify(owner)}\n`));
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** What a process left that died while it made its folder. */
async function sweepUnfinished(disk: Disk, path: string): Promise<void> {
  const found = await disk.stat(path);
  if (found === null || Date.now() - found.modifiedAt < UNFINISHED_MS) return;
  for (const file of (await disk.list(path)) ?? []) await disk.remove(join(path, file));
  await disk.removeFolder(path);
}

function ownerFile(number: number): string {
  return `owner-${String(number).padStart(6, '0')}.json`;
}

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isErrno } from './errno';
import type { ServerSpec, Target } from './server-spec';

/** One binary's place outside the checkout: `<cache>/ratchet/servers/<name>/<version>/<platform>-<arch>/`. */
export interface CacheEntry {
  readonly folder: string;
  readonly binary: string;
  /** `sha256sum -c` reads it. */
  readonly checksum: string;
  readonly lock: string;
}

export type CacheState =
  | { readonly state: 'valid'; readonly sha256: string }
  | { readonly state: 'absent' }
  | { readonly state: 'corrupted'; readonly reason: string };

const WORK_PREFIX = '.work-';

/** Where a server's binary is cached: below RATCHET_CACHE, else XDG_CACHE_HOME, else ~/.cache. */
export function cacheEntry(spec: ServerSpec, target: Target, env: NodeJS.ProcessEnv): CacheEntry {
  const root = env.RATCHET_CACHE || env.XDG_CACHE_HOME || join(homedir(), '.cache'); // set to nothing is not set
  const folder = join(
    root,
    'ratchet',
    'servers',
    spec.name,
    spec.version,
    `${target.platform}-${target.arch}`,
  );
  const binary = join(folder, executableName(spec, target));
  return { folder, binary, checksum: `${binary}.sha256`, lock: join(folder, 'lock') };
}

export function executableName(spec: ServerSpec, target: Target): string {
  return target.platform === 'win32' ? `${spec.executable}.exe` : spec.executable;
}

/** Reads the whole binary (0.1 s for 138 MB) at each use: a cache that is trusted blindly fails in odd ways much later. */
export async function inspectCache(entry: CacheEntry): Promise<CacheState> {
  const recorded = await readIfThere(entry.checksum);
  if (recorded === undefined) return { state: 'absent' }; // the checksum is written last
  const expected = recorded.split(/\s/)[0];
  try {
    const sha256 = await sha256OfFile(entry.binary);
    return sha256 === expected
      ? { state: 'valid', sha256 }
      : { state: 'corrupted', reason: `expected sha256 ${expected}, got ${sha256}` };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { state: 'corrupted', reason: 'the binary is gone' };
    throw error;
  }
}

/**
 * Moves a finished binary into the cache. After a crash at any line a reader sees no entry or a whole one: the old
 * checksum goes first, the binary appears by rename with its bytes on disk, the new checksum comes last.
 *
 * @param made path on the same file system, below the work folder.
 */
export async function installInCache(entry: CacheEntry, made: string): Promise<string> {
  await chmod(made, 0o755);
  const sha256 = await sha256OfFile(made);
  await flushFile(made);
  await rm(entry.checksum, { force: true });
  await rename(made, entry.binary);
  const written = `${made}.sha256`;
  const file = await open(written, 'w');
  try {
    await file.writeFile(`${sha256}  ${basename(entry.binary)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(written, entry.checksum);
  return sha256;
}

/**
 * Runs `work` with an empty folder inside the entry, and removes it. To be called under the entry's lock: what other
 * work folders are there then were left by processes that died, and go too.
 */
export async function withWorkFolder<T>(
  entry: CacheEntry,
  work: (folder: string) => Promise<T>,
): Promise<T> {
  await mkdir(entry.folder, { recursive: true });
  for (const name of await readdir(entry.folder)) {
    if (name.startsWith(WORK_PREFIX))
      await rm(join(entry.folder, name), { recursive: true, force: true });
  }
  const folder = await mkdtemp(join(entry.folder, WORK_PREFIX));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

async function flushFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw error;
  }
}

import type { BigIntStats } from 'node:fs';
import { mkdir, readdir, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Etag } from '../../storage/object-store';
import { hasCode, nullIfMissing } from './fs-errors';
import { replacementsOf } from './paths';

/**
 * How a key is replaced without a lock. Version 0 is `<key>`; the version that replaces version n is `<key>~/<n + 1>`, made by link(2), which
 * fails if the name exists. So of all writers that saw version n as the current one, in any number of processes and containers, one gets the
 * name, and a writer that dies holds nothing up. A deleted version is a folder in its place: it competes for the same name.
 */
export interface Version {
  readonly number: number;
  readonly path: string;
  /** Null if the key is absent: never written, or deleted by this version. */
  readonly stat: BigIntStats | null;
}

/** How long a replaced version stays, so that no writer who saw it as the current one finds its successor's name free again. */
export const KEPT_MS = 10_000;

export function versionPath(objectPath: string, number: number): string {
  return number === 0 ? objectPath : join(replacementsOf(objectPath), String(number));
}

export function etagOf({ number }: Pick<Version, 'number'>, { mtimeNs, size }: BigIntStats): Etag {
  return `${number}-${mtimeNs.toString(36)}-${size.toString(36)}`;
}

export async function currentVersion(objectPath: string): Promise<Version> {
  for (;;) {
    // In this order: if version 0 is there and then no replacement is, it was the current one in between.
    const first = await nullIfMissing(stat(objectPath, { bigint: true }));
    const last = (await replacements(objectPath)).at(-1);
    if (last === undefined) return { number: 0, path: objectPath, stat: asObject(first) };
    const path = versionPath(objectPath, last);
    const found = await nullIfMissing(stat(path, { bigint: true }));
    // Gone again: it was replaced and cleaned up since it was listed.
    if (found !== null) return { number: last, path, stat: found.isDirectory() ? null : found };
  }
}

/** Marks the key as deleted by version `number`. False if another writer took that number. */
export async function putTombstone(objectPath: string, number: number): Promise<boolean> {
  try {
    await mkdir(versionPath(objectPath, number));
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Whether the key was ever replaced, or is being replaced right now. */
export async function hasReplacements(objectPath: string): Promise<boolean> {
  return (await nullIfMissing(stat(replacementsOf(objectPath)))) !== null;
}

/** Removes the versions that were replaced more than `KEPT_MS` ago. */
export async function cleanUp(objectPath: string): Promise<void> {
  const numbers = [0, ...(await replacements(objectPath))];
  for (const [i, number] of numbers.entries()) {
    const successor = numbers[i + 1];
    if (successor === undefined) return;
    const found = await nullIfMissing(stat(versionPath(objectPath, successor)));
    // ctime is when the successor got its name, on this disk's own clock, whatever was copied or set since.
    if (found === null || Date.now() - found.ctimeMs <= KEPT_MS) return;
    await remove(versionPath(objectPath, number));
  }
}

const REPLACEMENT = /^[1-9]\d*$/;

/** Ascending. Other names are no versions: a network disk keeps a removed file that is still open, and a file manager its notes. */
async function replacements(objectPath: string): Promise<number[]> {
  const names = (await nullIfMissing(readdir(replacementsOf(objectPath)))) ?? [];
  return names
    .filter((name) => REPLACEMENT.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** A file, or the empty folder of a tombstone; another process may have been faster. Never recursive. */
async function remove(path: string): Promise<void> {
  const found = await nullIfMissing(stat(path));
  if (found !== null) await nullIfMissing(found.isDirectory() ? rmdir(path) : unlink(path));
}

/** Null for a folder too: that is where other keys lie. */
function asObject(found: BigIntStats | null): BigIntStats | null {
  return found === null || found.isDirectory() ? null : found;
}

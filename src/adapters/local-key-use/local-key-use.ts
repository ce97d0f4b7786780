import { mkdir, open, readdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { TransientError } from '../../errors';
import type { KeyUseStore } from '../../gateway/keys/key-use';
import { hasCode } from '../local-store/fs-errors';

const ID = /^[a-z0-9]{12}$/;

/**
 * One empty file per key, named for its id; its time of modification is when the key was last used. Gateways that share the folder need no
 * lock for that, so one that is killed leaves none behind: a lock of the key file itself would keep people from revoking a key.
 */
export function createLocalKeyUse(folder: string): KeyUseStore {
  return {
    async read() {
      const used = new Map<string, number>();
      for (const id of await idsIn(folder)) {
        const at = await modifiedAt(join(folder, id));
        if (at !== null) used.set(id, at);
      }
      return used;
    },
    async write(id, atMs) {
      const path = join(folder, id);
      try {
        const before = await modifiedAt(path);
        if (before === null) {
          await mkdir(folder, { recursive: true, mode: 0o700 });
          await (await open(path, 'a', 0o600)).close();
        } else if (before >= atMs) return; // another gateway saw it later
        await utimes(path, atMs / 1_000, atMs / 1_000);
      } catch (cause) {
        throw new TransientError('it cannot be written when a key was used', {
          context: { folder },
          cause,
        });
      }
    },
  };
}

async function idsIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => ID.test(name));
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return []; // no key was used yet
    throw new TransientError('it cannot be read when keys were used', {
      context: { folder },
      cause,
    });
  }
}

async function modifiedAt(path: string): Promise<number | null> {
  try {
    return Math.round((await stat(path)).mtimeMs);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

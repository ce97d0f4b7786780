import { InvalidInputError, TransientError } from '../../errors';

/** By its shape, not by `instanceof`: the errors of Node's own modules may come from another realm than this one's `Error`. */
function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}

/** The value, or null if its path does not exist. Every other failure is passed on. */
export async function nullIfMissing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return null;
    throw error;
  }
}

// What a retry can cure, and what needs a person: the rest are bugs and stay what they are.
const TRANSIENT = ['EAGAIN', 'EBUSY', 'EDQUOT', 'EINTR', 'EIO', 'EMFILE', 'ENFILE', 'ENOSPC'];
const SETUP: Readonly<Record<string, string>> = {
  EACCES: 'give this user access to the folder',
  EPERM: 'give this user access, on a disk that has hard links',
  EROFS: 'mount the disk writable',
  EXDEV: 'keep the whole store on one disk: nothing below its root may be a mount of its own',
  ENOTSUP: 'use a disk that has hard links',
  ENOTDIR: 'no key may be another key’s folder',
  EISDIR: 'no key may be another key’s folder',
  ENAMETOOLONG: 'move the store to a shorter path',
};

/** A failure of the file system as one of the error classes; anything that is none is returned as it is. */
export function toStoreError(error: unknown, doing: string, key?: string): unknown {
  const code = codeOf(error);
  if (code === undefined) return error;
  const context = { key, code };
  if (TRANSIENT.includes(code)) {
    return new TransientError(`the local store could not ${doing}`, { context, cause: error });
  }
  const help = SETUP[code];
  if (help === undefined) return error;
  return new InvalidInputError(`the local store could not ${doing}: ${help}`, {
    context,
    cause: error,
  });
}

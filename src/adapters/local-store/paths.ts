import { join } from 'node:path';

// Where things lie below the root. Characters that no key can hold mark what is not an object: `~` and `%`.
//
//   objects/<key>        the object, as plain bytes, until it is first replaced
//   objects/<key>~/<n>   its n-th replacement; the highest n is the current version; a folder in that place means "deleted"
//   tmp/<unique>         bodies on their way in

export interface Paths {
  readonly objects: string;
  readonly temporary: string;
}

export function pathsBelow(root: string): Paths {
  return { objects: join(root, 'objects'), temporary: join(root, 'tmp') };
}

/**
 * A key (or a part of one) as it is spelled on disk: a capital letter becomes `%` and its small letter, so that two keys that differ only in
 * case are two files on disks that fold case (macOS, Windows) too.
 */
export function toDiskName(key: string): string {
  return key.replace(/[A-Z]/g, (capital) => `%${capital.toLowerCase()}`);
}

export function fromDiskName(name: string): string {
  return name.replace(/%([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The folder of an object's replacements. */
export function replacementsOf(objectPath: string): string {
  return `${objectPath}~`;
}

export function isReplacements(name: string): boolean {
  return name.endsWith('~');
}

import type { Digest } from '../schemas/ids';
import {
  type Directory,
  type DirectoryContent,
  type DirectoryPlace,
  directoryDigest,
  readDirectory,
  readDirectoryFile,
  readManifest,
  writeDirectory,
} from './commit';
import { checkpointFolder } from './keys';
import type { Manifest } from './manifest';
import type { ObjectStore } from './object-store';

// Checkpoints: committed directories under `v1/checkpoints/<digest>/`. Guarantees and errors are those of commit.ts.

const CHECKPOINTS: DirectoryPlace = { kind: 'checkpoint', folder: checkpointFolder };

/** After a crash: no checkpoint, or the whole one. The same content gives the same digest, whoever writes it. */
export function writeCheckpoint(store: ObjectStore, content: DirectoryContent): Promise<Digest> {
  return writeDirectory(store, CHECKPOINTS, content);
}

/** The digest that this content will have. */
export function checkpointDigest(content: DirectoryContent): Digest {
  return directoryDigest(CHECKPOINTS, content);
}

/** Reads and checks every file. Whoever needs one file of many calls `readCheckpointFile`. */
export function readCheckpoint(store: ObjectStore, digest: Digest): Promise<Directory> {
  return readDirectory(store, CHECKPOINTS, digest);
}

export function readCheckpointManifest(store: ObjectStore, digest: Digest): Promise<Manifest> {
  return readManifest(store, CHECKPOINTS, digest);
}

export function readCheckpointFile(
  store: ObjectStore,
  digest: Digest,
  file: string,
): Promise<Uint8Array> {
  return readDirectoryFile(store, CHECKPOINTS, digest, file);
}

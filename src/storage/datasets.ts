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
import { datasetFolder } from './keys';
import type { Manifest } from './manifest';
import type { ObjectStore } from './object-store';
import { withClaim } from './sweep';

// Datasets: committed directories under `v1/datasets/<name>/<digest>/`. Guarantees and errors are those of commit.ts.

function datasetsNamed(name: string): DirectoryPlace {
  return { kind: 'dataset', folder: (digest) => datasetFolder(name, digest) };
}

/**
 * After a crash: no dataset, or the whole one. The name is where it lies, not part of its digest. A dataset stays once it is committed;
 * until then, files of one that was never finished may be in place, and a garbage collection may be about to remove them.
 */
export async function writeDataset(
  store: ObjectStore,
  name: string,
  content: DirectoryContent,
): Promise<Digest> {
  const place = datasetsNamed(name);
  const folder = place.folder(directoryDigest(place, content));
  return withClaim(store, { run: null, holds: [folder] }, () =>
    writeDirectory(store, place, content),
  );
}

export function readDataset(store: ObjectStore, name: string, digest: Digest): Promise<Directory> {
  return readDirectory(store, datasetsNamed(name), digest);
}

export function readDatasetManifest(
  store: ObjectStore,
  name: string,
  digest: Digest,
): Promise<Manifest> {
  return readManifest(store, datasetsNamed(name), digest);
}

export function readDatasetFile(
  store: ObjectStore,
  name: string,
  digest: Digest,
  file: string,
): Promise<Uint8Array> {
  return readDirectoryFile(store, datasetsNamed(name), digest, file);
}

import type { Digest } from '../schemas/ids';
import {
  type Directory,
  type DirectoryContent,
  type DirectoryPlace,
  readDirectory,
  readDirectoryFile,
  readManifest,
  writeDirectory,
} from './commit';
import { datasetFolder } from './keys';
import type { Manifest } from './manifest';
import type { ObjectStore } from './object-store';

// Datasets: committed directories under `v1/datasets/<name>/<digest>/`. Guarantees and errors are those of commit.ts.

function datasetsNamed(name: string): DirectoryPlace {
  return { kind: 'dataset', folder: (digest) => datasetFolder(name, digest) };
}

/** After a crash: no dataset, or the whole one. The name is where it lies, not part of its digest. */
export function writeDataset(
  store: ObjectStore,
  name: string,
  content: DirectoryContent,
): Promise<Digest> {
  return writeDirectory(store, datasetsNamed(name), content);
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

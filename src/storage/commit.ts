import { IntegrityError, InvalidInputError, NotFoundError } from '../errors';
import type { Digest } from '../schemas/ids';
import type { Json } from '../schemas/json';
import { sha256Hex } from './digest';
import {
  type DirectoryKind,
  MANIFEST_FILE,
  Manifest,
  decodeManifest,
  encodeManifest,
} from './manifest';
import { putContent } from './content';
import { getIfPresent, refOf, verify } from './object-ref';
import type { Body, ObjectStore } from './object-store';

// A directory is files and one manifest, committed as a whole under the manifest's digest: checkpoints and datasets are directories.

/** Bytes, or a file too large for memory whose hash is known; `open` may be called again on a retry. */
export type FileBody =
  | Uint8Array
  | {
      readonly sha256: string;
      readonly sizeBytes: number;
      open(): AsyncIterable<Uint8Array>;
    };

export interface DirectoryContent {
  readonly files: ReadonlyMap<string, FileBody>;
  /** What the writer says about the files. Part of the digest: no times, hosts or attempts. */
  readonly metadata: Readonly<Record<string, Json>>;
}

export interface Directory {
  readonly manifest: Manifest;
  readonly files: Map<string, Uint8Array>;
}

/** Where the directories of one kind lie: `folder(digest)` ends in a slash. */
export interface DirectoryPlace {
  readonly kind: DirectoryKind;
  folder(digest: Digest): string;
}

/**
 * Commits files under the digest of their manifest. The same content again gives the same digest and changes nothing, so a retry after
 * a crash at any line simply runs again.
 *
 * @throws {InvalidInputError} if a file's name or the metadata cannot be in a manifest.
 * @throws {IntegrityError} if a streamed file is not what its hash and size say.
 */
export async function writeDirectory(
  store: ObjectStore,
  place: DirectoryPlace,
  content: DirectoryContent,
): Promise<Digest> {
  const { files } = content;
  const { manifest, bytes, digest } = manifestFor(place, content);
  const folder = place.folder(digest);

  // A crash in here leaves files without a manifest: no directory. Whoever commits the same content later finds them in place.
  for (const [name, expected] of Object.entries(manifest.files)) {
    const body = files.get(name);
    if (body !== undefined) {
      await putContent(store, { key: folder + name, ...expected }, () => toBody(body));
    }
  }
  // This line is the commit. A crash before it: nothing to see. After it: everything, each file checked when it was written.
  await putContent(store, refOf(folder + MANIFEST_FILE, bytes), bytes);
  return digest;
}

/**
 * The digest that the content will have: what a claim names before anything is written.
 *
 * @throws {InvalidInputError} as `writeDirectory`.
 */
export function directoryDigest(place: DirectoryPlace, content: DirectoryContent): Digest {
  return manifestFor(place, content).digest;
}

/**
 * @throws {NotFoundError} if nothing was committed under this digest.
 * @throws {IntegrityError} if the manifest is not the one that the digest names.
 */
export async function readManifest(
  store: ObjectStore,
  place: DirectoryPlace,
  digest: Digest,
): Promise<Manifest> {
  const key = place.folder(digest) + MANIFEST_FILE;
  const stored = await getIfPresent(store, key);
  if (stored === null) {
    throw new NotFoundError(`no ${place.kind} was committed under this digest`, {
      context: { digest },
    });
  }
  return decodeManifest(stored.bytes, place.kind, digest, key);
}

/**
 * One file, checked against the manifest.
 *
 * @throws {NotFoundError} if the directory, or a file of this name in it, was not committed.
 * @throws {IntegrityError} if the file is missing from the store or its bytes differ.
 */
export async function readDirectoryFile(
  store: ObjectStore,
  place: DirectoryPlace,
  digest: Digest,
  file: string,
): Promise<Uint8Array> {
  return readFileOf(store, place, digest, await readManifest(store, place, digest), file);
}

/** Every file, checked against the manifest. Errors as in `readDirectoryFile`. */
export async function readDirectory(
  store: ObjectStore,
  place: DirectoryPlace,
  digest: Digest,
): Promise<Directory> {
  const manifest = await readManifest(store, place, digest);
  const files = new Map<string, Uint8Array>();
  for (const name of Object.keys(manifest.files)) {
    files.set(name, await readFileOf(store, place, digest, manifest, name));
  }
  return { manifest, files };
}

async function readFileOf(
  store: ObjectStore,
  place: DirectoryPlace,
  digest: Digest,
  manifest: Manifest,
  file: string,
): Promise<Uint8Array> {
  const expected = Object.hasOwn(manifest.files, file) ? manifest.files[file] : undefined;
  if (expected === undefined) {
    throw new NotFoundError(`the ${place.kind} has no such file`, { context: { digest, file } });
  }
  const key = place.folder(digest) + file;
  const stored = await getIfPresent(store, key);
  if (stored === null) {
    throw new IntegrityError(
      `a file of a committed ${place.kind} is missing: expected sha256 ${expected.sha256} of ${expected.sizeBytes} bytes, got no object; restore it from a copy`,
      { context: { key, digest, file } },
    );
  }
  verify(stored.bytes, expected, { key, digest, file });
  return stored.bytes;
}

function manifestFor(
  place: DirectoryPlace,
  { files, metadata }: DirectoryContent,
): { manifest: Manifest; bytes: Uint8Array; digest: Digest } {
  const manifest = Manifest.safeParse({
    formatVersion: 1,
    kind: place.kind,
    metadata,
    files: Object.fromEntries(Array.from(files, ([name, body]) => [name, describe(body)])),
  });
  if (!manifest.success) {
    throw new InvalidInputError(`a ${place.kind} cannot be committed: ${manifest.error.message}`);
  }
  return { manifest: manifest.data, ...encodeManifest(manifest.data) };
}

function describe(body: FileBody): { sha256: string; sizeBytes: number } {
  if (!(body instanceof Uint8Array)) return { sha256: body.sha256, sizeBytes: body.sizeBytes };
  return { sha256: sha256Hex(body), sizeBytes: body.byteLength };
}

function toBody(body: FileBody): Body {
  return body instanceof Uint8Array ? body : withLength(body.open(), body.sizeBytes);
}

/** Ends in an error, which aborts the put, if the chunks do not add up to the size that the manifest says. */
async function* withLength(
  chunks: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncIterable<Uint8Array> {
  let seen = 0;
  for await (const chunk of chunks) {
    seen += chunk.byteLength;
    yield chunk;
  }
  if (seen !== sizeBytes) {
    throw new IntegrityError(
      `a streamed file has the wrong length: expected ${sizeBytes} bytes, got ${seen}`,
    );
  }
}

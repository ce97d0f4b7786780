import { IntegrityError } from '../../errors';
import type { RandomAccess } from '../../storage/lazy-safetensors';

/** A folder as Hugging Face's save_pretrained writes it, wherever it is. Names have no folders in them. */
export interface ModelFolder {
  /** For messages. */
  readonly name: string;
  /** @throws {NotFoundError} if there is no such file. */
  read(file: string): Promise<Uint8Array>;
  /** @throws {NotFoundError} if there is no such file. */
  open(file: string): Promise<RandomAccess & { close(): Promise<void> }>;
  /** File names. */
  list(): Promise<readonly string[]>;
}

/** @throws {NotFoundError} if there is no such file; {IntegrityError} if it is no JSON. */
export async function readFolderJson(folder: ModelFolder, file: string): Promise<unknown> {
  const bytes = await folder.read(file);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new IntegrityError(`${file} is not JSON`, { context: { model: folder.name }, cause });
  }
}

/** Bytes read at once. */
const CHUNK = 8 * 1024 * 1024;

/** A file in pieces. @throws {NotFoundError} if there is no such file. */
export async function* fileChunks(folder: ModelFolder, name: string): AsyncIterable<Uint8Array> {
  const file = await folder.open(name);
  try {
    for (let at = 0; at < file.sizeBytes; at += CHUNK) yield await file.read(at, CHUNK);
  } finally {
    await file.close();
  }
}

import type { Digest } from '../../schemas/ids';
import { writeCheckpoint } from '../../storage/checkpoints';
import type { FileBody } from '../../storage/commit';
import type { ObjectStore } from '../../storage/object-store';
import { streamedFile } from '../../storage/streamed-file';
import { LANGUAGE_KIND } from './checkpoint';
import type { LanguageConfig } from './language-config';
import {
  CONFIG_FILE,
  openModelWeights,
  WEIGHTS_FILE,
  WEIGHTS_INDEX_FILE,
  type ModelFolder,
} from './model-files';
import { parameterCount } from './parameters';
import { GENERATION_CONFIG_FILE } from './serving/generation-config';
import { CHAT_TEMPLATE_FILES } from './text/chat-template';
import { openTokenizer, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from './text/tokenizer';

/** Read into memory, and stored where they are there. */
const SMALL_FILES = [
  ...[CONFIG_FILE, GENERATION_CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE],
  ...[...CHAT_TEMPLATE_FILES, 'special_tokens_map.json', WEIGHTS_INDEX_FILE, 'LICENSE'],
];

export interface ImportedModel {
  readonly checkpoint: Digest;
  readonly config: LanguageConfig;
  readonly parameters: number;
}

/**
 * Commits a Hugging Face folder as a checkpoint, its weights as they are. All is checked first: configuration, headers of the weights, tokenizer.
 * The same folder gives the same digest, and is stored once.
 *
 * @throws {NotFoundError | IntegrityError | InvalidInputError} naming what is missing, damaged or not supported; nothing is stored then.
 */
export async function importModel(
  store: ObjectStore,
  folder: ModelFolder,
  { onFile }: { readonly onFile?: (name: string, sizeBytes: number) => void } = {},
): Promise<ImportedModel> {
  const opened = await openModelWeights(folder);
  await opened.close();
  const { config } = opened;
  await openTokenizer(folder);
  const present = await folder.list();
  const isSharded = !present.includes(WEIGHTS_FILE);
  const weights = present.filter((name) =>
    isSharded ? /^model-\d+-of-\d+\.safetensors$/.test(name) : name === WEIGHTS_FILE,
  );
  const files = new Map<string, FileBody>();
  for (const name of SMALL_FILES) {
    const isWanted = name !== WEIGHTS_INDEX_FILE || isSharded;
    if (isWanted && present.includes(name)) files.set(name, await folder.read(name));
  }
  for (const name of weights) {
    const body = await streamedFile(() => chunksOf(folder, name));
    onFile?.(name, body.sizeBytes);
    files.set(name, body);
  }
  const parameters = parameterCount(config);
  const checkpoint = await writeCheckpoint(store, {
    files,
    metadata: { kind: LANGUAGE_KIND, modelType: config.modelType, parameters },
  });
  return { checkpoint, config, parameters };
}

/** Bytes read at once. */
const CHUNK = 8 * 1024 * 1024;

async function* chunksOf(folder: ModelFolder, name: string): AsyncIterable<Uint8Array> {
  const file = await folder.open(name);
  try {
    for (let at = 0; at < file.sizeBytes; at += CHUNK) yield await file.read(at, CHUNK);
  } finally {
    await file.close();
  }
}

import { InvalidInputError } from '../../errors';
import type { Digest } from '../../schemas/ids';
import { writeCheckpoint } from '../../storage/checkpoints';
import type { FileBody } from '../../storage/commit';
import type { ObjectStore } from '../../storage/object-store';
import { streamedFile } from '../../storage/streamed-file';
import { checkpointModelFolder, LANGUAGE_KIND } from './checkpoint';
import type { LanguageConfig } from './language-config';
import { ADAPTER_CONFIG_FILE, ADAPTER_FILE, adaptedFolder, hasAdapter } from './lora/adapter-files';
import { CONFIG_FILE, openModelWeights, WEIGHTS_FILE, WEIGHTS_INDEX_FILE } from './model-files';
import { fileChunks, type ModelFolder } from './model-folder';
import { parameterCount } from './parameters';
import { GENERATION_CONFIG_FILE } from './serving/generation-config';
import { CHAT_TEMPLATE_FILES } from './text/chat-template';
import { openTokenizer, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from './text/tokenizer';

/** Read into memory, and stored where they are there. */
const SMALL_FILES = [
  ...[CONFIG_FILE, GENERATION_CONFIG_FILE, TOKENIZER_FILE, TOKENIZER_CONFIG_FILE],
  ...[...CHAT_TEMPLATE_FILES, 'special_tokens_map.json', WEIGHTS_INDEX_FILE, 'LICENSE'],
];

export interface ImportOptions {
  /** Of weights, before they are stored. */
  readonly onFile?: (name: string, sizeBytes: number) => void;
}

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
  { onFile }: ImportOptions = {},
): Promise<ImportedModel> {
  if (await hasAdapter(folder)) {
    throw new InvalidInputError(
      'the folder holds an adapter: say with --base which checkpoint it adapts, and import that one first where it is not there',
      { context: { folder: folder.name } },
    );
  }
  const config = await checkModel(folder);
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
    const body = await streamedFile(() => fileChunks(folder, name));
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

/**
 * Commits a PEFT folder as a checkpoint that is an adapter over another one: it is served, exported and trained on with its base's weights, which are
 * stored once.
 *
 * @param base the checkpoint of a whole model. @throws as `importModel`.
 */
export async function importAdapter(
  store: ObjectStore,
  folder: ModelFolder,
  base: Digest,
  { onFile }: ImportOptions = {},
): Promise<ImportedModel> {
  const config = await checkModel(
    await adaptedFolder(await checkpointModelFolder(store, base), folder),
  );
  const present = await folder.list();
  const names = [ADAPTER_CONFIG_FILE, ...SMALL_FILES].filter((name) => present.includes(name));
  const files = new Map<string, FileBody>();
  for (const name of names) files.set(name, await folder.read(name));
  const body = await streamedFile(() => fileChunks(folder, ADAPTER_FILE));
  onFile?.(ADAPTER_FILE, body.sizeBytes);
  files.set(ADAPTER_FILE, body);
  const parameters = parameterCount(config);
  const checkpoint = await writeCheckpoint(store, {
    files,
    metadata: { kind: LANGUAGE_KIND, modelType: config.modelType, parameters, base },
  });
  return { checkpoint, config, parameters };
}

/** @throws naming what is missing, damaged or not supported. */
async function checkModel(folder: ModelFolder): Promise<LanguageConfig> {
  const opened = await openModelWeights(folder);
  await opened.close();
  await openTokenizer(folder);
  return opened.config;
}

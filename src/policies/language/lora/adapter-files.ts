import type { Shape } from '../../../autodiff/graph';
import { InvalidInputError } from '../../../errors';
import { openSafetensors } from '../../../storage/lazy-safetensors';
import { toFloat32 } from '../../../storage/safetensors';
import type { LanguageConfig } from '../language-config';
import { readFolderJson, type ModelFolder } from '../model-folder';
import { assertShapes } from '../parameters';
import { fromPeftConfig, type LoraConfig } from './lora-config';
import { loraShapes } from './lora-layers';

export const ADAPTER_CONFIG_FILE = 'adapter_config.json';
export const ADAPTER_FILE = 'adapter_model.safetensors';

/** An adapter as PEFT's save_pretrained writes it, of which one tensor at a time is in memory. */
export interface AdapterWeights {
  readonly lora: LoraConfig;
  /** By PEFT's names. */
  readonly shapes: Readonly<Record<string, Shape>>;
  /** @returns float32 values, whatever the file has. */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Whether a folder has an adapter in it. */
export async function hasAdapter(folder: ModelFolder): Promise<boolean> {
  return (await folder.list()).includes(ADAPTER_CONFIG_FILE);
}

/**
 * @param model what it adapts.
 * @throws {NotFoundError} if a file is missing; {InvalidInputError} if the adapter is of a kind that is not supported, or targets nothing in this
 *   model; {IntegrityError} if its file is damaged, or its tensors are not those that its configuration and the model ask for.
 */
export async function openAdapter(
  folder: ModelFolder,
  model: LanguageConfig,
): Promise<AdapterWeights> {
  const lora = fromPeftConfig(await readFolderJson(folder, ADAPTER_CONFIG_FILE), model);
  const shapes = loraShapes(model, lora);
  const file = await folder.open(ADAPTER_FILE);
  try {
    const tensors = await openSafetensors(file);
    const stored = [...tensors.entries].map(([name, { shape }]) => [name, shape] as const);
    assertShapes('the adapter does not fit its model', shapes, new Map(stored));
    return {
      ...{ lora, shapes },
      read: async (name) => toFloat32(await tensors.read(name), name),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * A base model with an adapter's files over it: read by `openModelWeights`, its weights are the merged ones. Where both have a file, the adapter's
 * counts: whoever trained it may have given it another template.
 *
 * @throws {InvalidInputError} if the base is an adapter itself: only the upper one would count.
 */
export async function adaptedFolder(base: ModelFolder, adapter: ModelFolder): Promise<ModelFolder> {
  if (await hasAdapter(base)) {
    throw new InvalidInputError(
      'an adapter adapts a whole model, and this base is an adapter: export it, which merges it, and import that as the base',
      { context: { base: base.name } },
    );
  }
  const homeOf = async (file: string): Promise<ModelFolder> =>
    (await adapter.list()).includes(file) ? adapter : base;
  return {
    name: adapter.name,
    read: async (file) => (await homeOf(file)).read(file),
    open: async (file) => (await homeOf(file)).open(file),
    list: async () => [...new Set([...(await base.list()), ...(await adapter.list())])],
  };
}

import { z } from 'zod';
import { sizeOf } from '../../autodiff/graph';
import { IntegrityError, InvalidInputError, NotFoundError } from '../../errors';
import {
  openSafetensors,
  type LazySafetensors,
  type RandomAccess,
} from '../../storage/lazy-safetensors';
import { toFloat32 } from '../../storage/safetensors';
import { fromHfConfig } from './hf-config';
import type { LanguageConfig } from './language-config';
import { hasAdapter, openAdapter, type AdapterWeights } from './lora/adapter-files';
import { loraTensor, mergeLayer } from './lora/lora-layers';
import { readFolderJson, type ModelFolder } from './model-folder';
import { checkParameters, EMBEDDING, OUTPUT_EMBEDDING, parameterShapes } from './parameters';

export const WEIGHTS_FILE = 'model.safetensors';
export const WEIGHTS_INDEX_FILE = 'model.safetensors.index.json';
export const CONFIG_FILE = 'config.json';

/** The weights of a model in one file or many, of which one tensor at a time is in memory. */
export interface ModelWeights {
  readonly config: LanguageConfig;
  /** In the order of the configuration's table. */
  readonly names: readonly string[];
  /** @returns float32 values, whatever the file has. */
  read(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

const Index = z.looseObject({ weight_map: z.record(z.string(), z.string()) });

/**
 * Opens a model's weights, and checks by the headers alone that they are whole and fit its config.json: nothing is loaded of a model that
 * cannot be. An adapter beside them is merged into them as they are read.
 *
 * @throws {NotFoundError} if config.json or the weights are missing; {InvalidInputError} if the configuration is wrong or not supported;
 *   {IntegrityError} if a file is damaged, a shard or tensor is missing, or anything does not fit.
 */
export async function openModelWeights(folder: ModelFolder): Promise<ModelWeights> {
  const config = fromHfConfig(await readFolderJson(folder, CONFIG_FILE));
  const shards = await openShards(folder);
  let adapter: AdapterWeights | null = null;
  const close = async (): Promise<void> => {
    for (const { file } of shards.values()) await file.close();
    await adapter?.close();
  };
  try {
    adapter = (await hasAdapter(folder)) ? await openAdapter(folder, config) : null;
    const homes = homesOf(shards);
    const stored = new Map([...homes].map(([name, { shape }]) => [name, shape] as const));
    checkParameters(config, stored);
    await checkTied(config, shards, homes);
    return {
      config,
      names: Object.keys(parameterShapes(config)),
      read: async (name) => merged(adapter, name, await readFloats(shards, homes, name)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Shard {
  readonly file: RandomAccess & { close(): Promise<void> };
  readonly tensors: LazySafetensors;
}

interface Home {
  readonly shard: string;
  readonly shape: readonly number[];
}

async function openShards(folder: ModelFolder): Promise<Map<string, Shard>> {
  const files = await folder.list();
  const isSharded = !files.includes(WEIGHTS_FILE) && files.includes(WEIGHTS_INDEX_FILE);
  const shards = new Map<string, Shard>();
  try {
    if (!isSharded) {
      shards.set(WEIGHTS_FILE, await openShard(folder, WEIGHTS_FILE));
      return shards;
    }
    const parsed = Index.safeParse(await readFolderJson(folder, WEIGHTS_INDEX_FILE));
    if (!parsed.success) {
      throw new IntegrityError(`${WEIGHTS_INDEX_FILE}: ${z.prettifyError(parsed.error)}`, {
        context: { model: folder.name },
      });
    }
    const { weight_map: map } = parsed.data;
    for (const shard of new Set(Object.values(map))) {
      if (shard.includes('/') || shard.includes('\\') || shard.startsWith('.')) {
        throw new IntegrityError('an index names a shard outside its folder', {
          context: { model: folder.name, shard },
        });
      }
      shards.set(shard, await openShard(folder, shard));
    }
    for (const [name, shard] of Object.entries(map)) {
      if (shards.get(shard)?.tensors.entries.has(name) !== true) {
        throw new IntegrityError('an index names a tensor that its shard does not have', {
          context: { model: folder.name, shard, tensor: name },
        });
      }
    }
    return shards;
  } catch (error) {
    for (const { file } of shards.values()) await file.close();
    throw error;
  }
}

async function openShard(folder: ModelFolder, name: string): Promise<Shard> {
  const file = await folder.open(name);
  try {
    return { file, tensors: await openSafetensors(file) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function homesOf(shards: ReadonlyMap<string, Shard>): Map<string, Home> {
  const homes = new Map<string, Home>();
  for (const [shard, { tensors }] of shards) {
    for (const [name, { shape }] of tensors.entries) {
      const other = homes.get(name);
      if (other !== undefined) {
        throw new IntegrityError('two shards hold one tensor', {
          context: { tensor: name, shards: `${other.shard} ${shard}` },
        });
      }
      homes.set(name, { shard, shape });
    }
  }
  return homes;
}

async function readFloats(
  shards: ReadonlyMap<string, Shard>,
  homes: ReadonlyMap<string, Home>,
  name: string,
): Promise<Float32Array> {
  const home = homes.get(name);
  if (home === undefined) {
    throw new NotFoundError('a model has no such parameter', { context: { parameter: name } });
  }
  try {
    return toFloat32(await (shards.get(home.shard) as Shard).tensors.read(name), name);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause; // what JavaScript throws where it gets no memory
    throw new InvalidInputError(
      'no memory for the weights of a model: a smaller model, or fewer at once, need less',
      { context: { parameter: name, megabytes: Math.ceil((sizeOf(home.shape) * 4) / 1e6) }, cause },
    );
  }
}

async function merged(
  adapter: AdapterWeights | null,
  name: string,
  weight: Float32Array,
): Promise<Float32Array> {
  const layer = name.replace(/\.weight$/, '');
  if (adapter?.lora.targets.includes(layer) !== true || layer === name) return weight;
  const [a, up] = [
    await adapter.read(loraTensor(layer, 'A')),
    await adapter.read(loraTensor(layer, 'B')),
  ];
  return mergeLayer(adapter.lora, weight, a, up);
}

/** Some writers store the output embedding of a tied model once more. Another one than the input's would be lost without a word. */
async function checkTied(
  config: LanguageConfig,
  shards: ReadonlyMap<string, Shard>,
  homes: ReadonlyMap<string, Home>,
): Promise<void> {
  if (!config.tieEmbeddings || !homes.has(OUTPUT_EMBEDDING)) return;
  const [input, output] = [
    await readFloats(shards, homes, EMBEDDING),
    await readFloats(shards, homes, OUTPUT_EMBEDDING),
  ];
  if (input.length === output.length && input.every((value, i) => Object.is(value, output[i])))
    return;
  throw new IntegrityError(
    'config.json says that the embeddings are tied, and the weights hold another output embedding: set tie_word_embeddings to false',
  );
}

import { InvalidInputError } from '../../errors';
import type { FloatTensor, FloatType } from '../../storage/stream-safetensors';
import { floatBytes, streamSafetensors } from '../../storage/stream-safetensors';
import { ADAPTER_CONFIG_FILE, ADAPTER_FILE, hasAdapter } from './lora/adapter-files';
import { CONFIG_FILE, openModelWeights, WEIGHTS_FILE, WEIGHTS_INDEX_FILE } from './model-files';
import { fileChunks, type ModelFolder } from './model-folder';
import { parameterShapes } from './parameters';

/** One file of an exported model, in pieces. */
export interface ExportedFile {
  readonly name: string;
  readonly chunks: () => AsyncIterable<Uint8Array>;
}

export interface ExportSettings {
  readonly dtype: FloatType;
  /** A file of weights that would be larger is cut into shards. @default 5 GB, as save_pretrained */
  readonly maxShardBytes?: number;
}

/** Weights, which are written anew, with an adapter in them; and what only training needs. */
const NOT_COPIED =
  /\.safetensors$|^model\.safetensors\.index\.json$|^training_state\.json$|^adapter_config\.json$/;

/**
 * A model as save_pretrained lays it out: one file of weights or shards with their index, and all that stood beside them. An adapter is merged into
 * them. One tensor is in memory at a time.
 */
export async function* exportModel(
  folder: ModelFolder,
  { dtype, maxShardBytes = 5e9 }: ExportSettings,
): AsyncIterable<ExportedFile> {
  for (const name of await folder.list()) {
    if (NOT_COPIED.test(name)) continue;
    yield {
      name,
      async *chunks() {
        const bytes = await folder.read(name);
        yield name === CONFIG_FILE ? withDtype(bytes, dtype) : bytes;
      },
    };
  }
  const weights = await openModelWeights(folder);
  try {
    const shapes = parameterShapes(weights.config);
    const tensors = weights.names.map((name): FloatTensor => ({
      name,
      shape: shapes[name] ?? [],
      read: () => weights.read(name),
    }));
    const shards = cutIntoShards(tensors, dtype, maxShardBytes);
    const nameOf = (shard: number): string => {
      if (shards.length === 1) return WEIGHTS_FILE;
      const number = (n: number): string => String(n).padStart(5, '0');
      return `model-${number(shard + 1)}-of-${number(shards.length)}.safetensors`;
    };
    for (const [i, shard] of shards.entries()) {
      yield {
        name: nameOf(i),
        chunks: () => streamSafetensors(shard, dtype, { format: 'pt' }),
      };
    }
    if (shards.length === 1) return;
    const sizes = tensors.map(({ shape }) => floatBytes(shape, dtype));
    const index = {
      metadata: { total_size: sizes.reduce((sum, size) => sum + size, 0) },
      weight_map: Object.fromEntries(
        shards.flatMap((shard, i) => shard.map(({ name }) => [name, nameOf(i)])),
      ),
    };
    yield {
      name: WEIGHTS_INDEX_FILE,
      async *chunks() {
        yield Buffer.from(`${JSON.stringify(index, null, 2)}\n`);
      },
    };
  } finally {
    await weights.close();
  }
}

/**
 * An adapter as PEFT's save_pretrained lays it out, apart from its base. @param adapter as `readLanguageCheckpoint` gives it.
 *
 * @throws {InvalidInputError} if it holds none.
 */
export async function* exportAdapter(adapter: ModelFolder): AsyncIterable<ExportedFile> {
  if (!(await hasAdapter(adapter))) {
    throw new InvalidInputError('the model is no adapter: export it whole', {
      context: { model: adapter.name },
    });
  }
  const isTrainings = (name: string): boolean =>
    name !== ADAPTER_FILE && name !== ADAPTER_CONFIG_FILE && NOT_COPIED.test(name);
  for (const name of await adapter.list()) {
    if (!isTrainings(name)) yield { name, chunks: () => fileChunks(adapter, name) };
  }
}

const TORCH_NAMES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** What transformers loads the weights as, in the spelling that the configuration has, or else in both. */
function withDtype(config: Uint8Array, dtype: FloatType): Uint8Array {
  const json = JSON.parse(Buffer.from(config).toString('utf8')) as Record<string, unknown>;
  const names = ['dtype', 'torch_dtype'].filter((name) => name in json);
  for (const name of names.length > 0 ? names : ['torch_dtype']) json[name] = TORCH_NAMES[dtype];
  return Buffer.from(`${JSON.stringify(json, null, 2)}\n`);
}

/** In order, each as full as it may be; a tensor that is larger by itself has one of its own. */
function cutIntoShards(
  tensors: readonly FloatTensor[],
  dtype: FloatType,
  most: number,
): FloatTensor[][] {
  const shards: FloatTensor[][] = [];
  let size = Infinity;
  for (const tensor of tensors) {
    const bytes = floatBytes(tensor.shape, dtype);
    if (size + bytes > most) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)?.push(tensor);
    size += bytes;
  }
  return shards;
}

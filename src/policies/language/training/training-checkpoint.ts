import { z } from 'zod';
import { IntegrityError } from '../../../errors';
import { Digest } from '../../../schemas/ids';
import { canonicalJson } from '../../../storage/canonical-json';
import { writeCheckpoint } from '../../../storage/checkpoints';
import type { FileBody } from '../../../storage/commit';
import { openSafetensors, type LazySafetensors } from '../../../storage/lazy-safetensors';
import type { ObjectStore } from '../../../storage/object-store';
import { streamedFile } from '../../../storage/streamed-file';
import { streamSafetensors, type FloatTensor } from '../../../storage/stream-safetensors';
import { LANGUAGE_KIND } from '../checkpoint';
import type { LanguageConfig } from '../language-config';
import { ADAPTER_CONFIG_FILE, ADAPTER_FILE, hasAdapter, openAdapter } from '../lora/adapter-files';
import { toPeftConfig, type LoraConfig } from '../lora/lora-config';
import { initialLora } from '../lora/lora-layers';
import { openModelWeights, WEIGHTS_FILE } from '../model-files';
import type { ModelFolder } from '../model-folder';
import { parameterCount } from '../parameters';
import type { OptimizerValues, ParameterValues, TrainingSteps } from './training-steps';

export const OPTIMIZER_FILE = 'optimizer.safetensors';
export const STATE_FILE = 'training_state.json';
const [FIRST, SECOND] = ['first_moment.', 'second_moment.'] as const;

/** Where a checkpoint comes from, and where its random numbers stand. No run, no time: the same training gives the same bytes. */
export const LanguageTrainingState = z.strictObject({
  formatVersion: z.literal(1),
  /** Optimizer steps since the moments were last zero: Adam's bias correction goes on from here. */
  optimizerSteps: z.int().min(0),
  /** Optimizer steps since the training began, which the schedule goes on from; steps that changed nothing count. */
  globalStep: z.int().min(0),
  /** Random numbers are counted by (seed, iteration, step): these are all their state. */
  seed: z.int().min(0),
  iteration: z.int().min(0),
  /** The checkpoint that this one was trained from. */
  parent: Digest.nullable(),
  dataset: Digest.nullable(),
  /** sha256 of the canonical JSON of how it was trained. */
  algorithm: z.string().regex(/^[0-9a-f]{64}$/),
});
export type LanguageTrainingState = z.infer<typeof LanguageTrainingState>;

/** What a training began with, as far as its checkpoints need it. */
export interface TrainedFrom {
  readonly config: LanguageConfig;
  /** Its files, weights apart, are copied: the whole model, or the adapter alone; null for an adapter that is new. */
  readonly beside: ModelFolder | null;
  /** Where an adapter is trained, and not the model: its settings, and the checkpoint that it is over. */
  readonly adapter?: { readonly lora: LoraConfig; readonly base: Digest };
}

/**
 * Commits what a training has come to: parameters, moments, where it stands, and what stood beside its parent's weights. Of an adapter, nothing of its
 * base. Tensors are read from the workspace one by one, twice: for their hash, and for their bytes. Whoever trains on meanwhile makes the
 * commit fail.
 *
 * @param state `optimizerSteps` is added to it.
 */
export async function writeTrainingCheckpoint(
  store: ObjectStore,
  { config, beside, adapter }: TrainedFrom,
  steps: TrainingSteps,
  state: Omit<LanguageTrainingState, 'formatVersion' | 'optimizerSteps'>,
): Promise<Digest> {
  const tensors = (prefix: string, what: 'value' | 'firstMoment' | 'secondMoment'): FloatTensor[] =>
    Object.entries(steps.trainable).map(([name, shape]) => ({
      ...{ name: prefix + name, shape },
      read: () => steps.read(name, what),
    }));
  const files = new Map<string, FileBody>();
  for (const name of (await beside?.list()) ?? []) {
    if (beside !== null && !NOT_COPIED.test(name)) files.set(name, await beside.read(name));
  }
  if (adapter !== undefined && !files.has(ADAPTER_CONFIG_FILE)) {
    files.set(ADAPTER_CONFIG_FILE, jsonBytes(toPeftConfig(adapter.lora, adapter.base)));
  }
  files.set(
    adapter === undefined ? WEIGHTS_FILE : ADAPTER_FILE,
    await streamedFile(() => streamSafetensors(tensors('', 'value'), 'F32')),
  );
  const moments = [...tensors(FIRST, 'firstMoment'), ...tensors(SECOND, 'secondMoment')];
  files.set(OPTIMIZER_FILE, await streamedFile(() => streamSafetensors(moments, 'F32')));
  const full = LanguageTrainingState.parse({
    ...{ formatVersion: 1, ...state },
    optimizerSteps: await steps.optimizerSteps(),
  });
  files.set(STATE_FILE, jsonBytes(full));
  return writeCheckpoint(store, {
    files,
    metadata: {
      ...{ kind: LANGUAGE_KIND, modelType: config.modelType, parameters: parameterCount(config) },
      ...(adapter !== undefined && { base: adapter.base }),
    },
  });
}

/** The same value gives the same bytes. */
function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(JSON.parse(canonicalJson(value)), null, 2)}\n`);
}

/** Weights are written anew. */
const NOT_COPIED = /\.safetensors$|^model\.safetensors\.index\.json$|^training_state\.json$/;

/** What a training goes on from. */
export interface LoadedTraining {
  readonly config: LanguageConfig;
  readonly values: ParameterValues;
  /** null for a model that was imported: its moments begin at zero. */
  readonly optimizer: OptimizerValues | null;
  readonly state: LanguageTrainingState | null;
}

/**
 * Reads a checkpoint to train on from as a whole, one tensor at a time; the values are handed to `TrainingSteps.load`. An adapter is merged
 * into its base, and what it had learned is then no state of this training.
 *
 * @throws {IntegrityError} if a file is damaged, or the moments do not fit the model.
 */
export async function readTrainingCheckpoint(folder: ModelFolder): Promise<LoadedTraining> {
  const model = await readModel(folder);
  const isMerged = await hasAdapter(folder);
  const progress = isMerged ? NEW_TRAINING : await readProgress(folder, Object.keys(model.values));
  return { ...model, ...progress };
}

/**
 * Reads a model and an adapter over it, to train the adapter on.
 *
 * @param adapter its own folder; or settings of a new one, with a seed for its first values. @throws as `readTrainingCheckpoint`.
 */
export async function readAdapterTraining(
  base: ModelFolder,
  adapter: ModelFolder | { readonly lora: LoraConfig; readonly seed: number },
): Promise<LoadedTraining & { readonly lora: LoraConfig }> {
  const whole = await readModel(base);
  const { config } = whole;
  if ('lora' in adapter) {
    const { lora, seed } = adapter;
    const values = { ...whole.values, ...initialLora(config, lora, seed) };
    return { config, values, lora, ...NEW_TRAINING };
  }
  const opened = await openAdapter(adapter, config);
  try {
    const { lora, shapes } = opened;
    const own = await readAll(Object.keys(shapes), (name) => opened.read(name));
    const progress = await readProgress(adapter, Object.keys(shapes));
    return { config, values: { ...whole.values, ...own }, lora, ...progress };
  } finally {
    await opened.close();
  }
}

async function readModel(folder: ModelFolder): Promise<Pick<LoadedTraining, 'config' | 'values'>> {
  const weights = await openModelWeights(folder);
  try {
    const values = await readAll(weights.names, (name) => weights.read(name));
    return { config: weights.config, values };
  } finally {
    await weights.close();
  }
}

const NEW_TRAINING = { optimizer: null, state: null } as const;

async function readProgress(
  folder: ModelFolder,
  names: readonly string[],
): Promise<Pick<LoadedTraining, 'optimizer' | 'state'>> {
  const state = await readState(folder);
  if (state === null) return NEW_TRAINING;
  return { state, optimizer: await readMoments(folder, names, state.optimizerSteps) };
}

async function readAll(
  names: readonly string[],
  read: (name: string) => Promise<Float32Array>,
): Promise<Record<string, Float32Array>> {
  const values: Record<string, Float32Array> = {};
  for (const name of names) values[name] = await read(name);
  return values;
}

async function readState(folder: ModelFolder): Promise<LanguageTrainingState | null> {
  if (!(await folder.list()).includes(STATE_FILE)) return null;
  try {
    const text = Buffer.from(await folder.read(STATE_FILE)).toString('utf8');
    return LanguageTrainingState.parse(JSON.parse(text));
  } catch (cause) {
    throw new IntegrityError(`${STATE_FILE} cannot be read: expected format version 1`, {
      context: { model: folder.name },
      cause,
    });
  }
}

async function readMoments(
  folder: ModelFolder,
  names: readonly string[],
  optimizerSteps: number,
): Promise<OptimizerValues> {
  const file = await folder.open(OPTIMIZER_FILE);
  try {
    const tensors = await openSafetensors(file);
    const read = (prefix: string): Promise<Record<string, Float32Array>> =>
      readAll(names, (name) => floats(tensors, prefix + name));
    return { m: await read(FIRST), v: await read(SECOND), optimizerSteps };
  } finally {
    await file.close();
  }
}

async function floats(tensors: LazySafetensors, name: string): Promise<Float32Array> {
  if (tensors.entries.has(name)) {
    const tensor = await tensors.read(name);
    if (tensor.dtype === 'float32') return tensor.data;
  }
  throw new IntegrityError(`${OPTIMIZER_FILE}: a moment is missing, or not float32`, {
    context: { tensor: name },
  });
}

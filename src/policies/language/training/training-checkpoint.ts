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
import { openModelWeights, WEIGHTS_FILE, type ModelFolder } from '../model-files';
import { parameterCount, parameterShapes } from '../parameters';
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

/**
 * Commits what a training has come to: parameters, moments, where it stands, and what stood beside its parent's weights. Tensors are read from the
 * workspace one by one, twice: for their hash, and for their bytes. Whoever trains on meanwhile makes the commit fail.
 *
 * @param beside the model that the training began with. @param state `optimizerSteps` is added to it.
 */
export async function writeTrainingCheckpoint(
  store: ObjectStore,
  beside: ModelFolder,
  steps: TrainingSteps,
  state: Omit<LanguageTrainingState, 'formatVersion' | 'optimizerSteps'>,
): Promise<Digest> {
  const opened = await openModelWeights(beside);
  await opened.close();
  const { config } = opened;
  const shapes = Object.entries(parameterShapes(config));
  const tensors = (prefix: string, what: 'value' | 'firstMoment' | 'secondMoment'): FloatTensor[] =>
    shapes.map(([name, shape]) => ({
      ...{ name: prefix + name, shape },
      read: () => steps.read(name, what),
    }));
  const files = new Map<string, FileBody>();
  for (const name of await beside.list()) {
    if (!NOT_COPIED.test(name)) files.set(name, await beside.read(name));
  }
  files.set(WEIGHTS_FILE, await streamedFile(() => streamSafetensors(tensors('', 'value'), 'F32')));
  const moments = [...tensors(FIRST, 'firstMoment'), ...tensors(SECOND, 'secondMoment')];
  files.set(OPTIMIZER_FILE, await streamedFile(() => streamSafetensors(moments, 'F32')));
  const full = LanguageTrainingState.parse({
    ...{ formatVersion: 1, ...state },
    optimizerSteps: await steps.optimizerSteps(),
  });
  files.set(
    STATE_FILE,
    Buffer.from(`${JSON.stringify(JSON.parse(canonicalJson(full)), null, 2)}\n`),
  );
  return writeCheckpoint(store, {
    files,
    metadata: {
      kind: LANGUAGE_KIND,
      modelType: config.modelType,
      parameters: parameterCount(config),
    },
  });
}

/** Weights are written anew. */
const NOT_COPIED = /\.safetensors$|^model\.safetensors\.index\.json$|^training_state\.json$/;

/** What a training goes on from. */
export interface LoadedTraining {
  readonly values: ParameterValues;
  /** null for a model that was imported: its moments begin at zero. */
  readonly optimizer: OptimizerValues | null;
  readonly state: LanguageTrainingState | null;
}

/**
 * Reads a checkpoint to train on from, one tensor at a time; the values are handed to `TrainingSteps.load`.
 *
 * @throws {IntegrityError} if a file is damaged, or the moments do not fit the model.
 */
export async function readTrainingCheckpoint(folder: ModelFolder): Promise<LoadedTraining> {
  const weights = await openModelWeights(folder);
  try {
    const values: Record<string, Float32Array> = {};
    for (const name of weights.names) values[name] = await weights.read(name);
    const state = await readState(folder);
    if (state === null) return { values, optimizer: null, state };
    const optimizer = await readMoments(folder, weights.names, state.optimizerSteps);
    return { values, optimizer, state };
  } finally {
    await weights.close();
  }
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
    const read = async (prefix: string): Promise<Record<string, Float32Array>> => {
      const values: Record<string, Float32Array> = {};
      for (const name of names) values[name] = await floats(tensors, prefix + name);
      return values;
    };
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

import { z } from 'zod';
import { IntegrityError } from '../../errors';
import { ChoiceConfig } from '../../schemas/choice-config';
import { Digest } from '../../schemas/ids';
import { canonicalJson } from '../../storage/canonical-json';
import { readSafetensors, writeSafetensors, type Tensor } from '../../storage/safetensors';
import type { CheckpointFiles } from '../policy-kind';
import { byParameter, PARAMETER_NAMES, parameterShapes, type Parameters } from './parameters';

/** Of the four files, and of what the parameters mean: features, network, sampling. */
export const FORMAT_VERSION = 1;

export const CONFIG_FILE = 'config.json';
export const MODEL_FILE = 'model.safetensors';
const OPTIMIZER_FILE = 'optimizer.safetensors';
const STATE_FILE = 'training_state.json';

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** Where a checkpoint comes from, and where its random numbers stand. No run, no time: the same training gives the same bytes. */
export const TrainingState = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  /** Optimizer steps since the moments were last zero: Adam's bias correction goes on from here. */
  globalStep: z.int().min(0),
  /** Random numbers are counted by (seed, iteration, step): these two are all their state. */
  seed: z.int().min(0),
  /** 0 for a policy fresh from its demonstrations. */
  iteration: z.int().min(0),
  /** null: created from demonstrations. */
  parent: Digest.nullable(),
  dataset: Digest,
  /** sha256 of the canonical JSON of how it was trained. */
  algorithm: Sha256,
  /** sha256 of the replay buffer, this iteration's feedback included. */
  replay: Sha256,
});
export type TrainingState = z.infer<typeof TrainingState>;

/** Adam's moments, by parameter. */
export interface Moments {
  readonly first: Parameters;
  readonly second: Parameters;
}

export interface ChoiceCheckpoint {
  readonly config: ChoiceConfig;
  readonly parameters: Parameters;
  readonly moments: Moments;
  readonly state: TrainingState;
}

export function encodeCheckpoint({
  config,
  parameters,
  moments,
  state,
}: ChoiceCheckpoint): CheckpointFiles {
  return new Map([
    [CONFIG_FILE, encodeJson({ formatVersion: FORMAT_VERSION, ...config })],
    [MODEL_FILE, writeSafetensors(toTensors(config, parameters))],
    [
      OPTIMIZER_FILE,
      writeSafetensors(
        new Map([
          ...toTensors(config, moments.first, 'first_moment.'),
          ...toTensors(config, moments.second, 'second_moment.'),
        ]),
      ),
    ],
    [STATE_FILE, encodeJson(state)],
  ]);
}

/** @throws {IntegrityError} if a file is missing, of another format version, or does not fit the configuration. */
export function decodeCheckpoint(files: CheckpointFiles): ChoiceCheckpoint {
  const { config, parameters } = decodeModel(files);
  const { tensors } = readSafetensors(fileOf(files, OPTIMIZER_FILE));
  return {
    config,
    parameters,
    moments: {
      first: fromTensors(config, tensors, 'first_moment.'),
      second: fromTensors(config, tensors, 'second_moment.'),
    },
    state: decodeJson(TrainingState, files, STATE_FILE),
  };
}

const ConfigFile = ChoiceConfig.extend({ formatVersion: z.literal(FORMAT_VERSION) });

/** What acting needs: the configuration and the parameters. */
export function decodeModel(files: CheckpointFiles): {
  readonly config: ChoiceConfig;
  readonly parameters: Parameters;
} {
  const { kind, arms, features, network, explorationFloor, temperature } = decodeJson(
    ConfigFile,
    files,
    CONFIG_FILE,
  );
  const config: ChoiceConfig = {
    ...{ kind, arms, features, network, explorationFloor },
    ...(temperature === undefined ? {} : { temperature }), // absent stays absent: it is part of the digest
  };
  const { tensors } = readSafetensors(fileOf(files, MODEL_FILE));
  return { config, parameters: fromTensors(config, tensors) };
}

export function toTensors(
  config: ChoiceConfig,
  values: Parameters,
  prefix = '',
): Map<string, Tensor> {
  const shapes = parameterShapes(config);
  return new Map(
    PARAMETER_NAMES.map((name) => [
      prefix + name,
      { dtype: 'float32', shape: shapes[name], data: values[name] },
    ]),
  );
}

/** @returns copies, which training may change. */
export function fromTensors(
  config: ChoiceConfig,
  tensors: ReadonlyMap<string, Tensor>,
  prefix = '',
): Parameters {
  const shapes = parameterShapes(config);
  return byParameter((name) => {
    const tensor = tensors.get(prefix + name);
    const expected = `float32 [${shapes[name].join(', ')}]`;
    const got = tensor === undefined ? 'nothing' : `${tensor.dtype} [${tensor.shape.join(', ')}]`;
    if (tensor?.dtype !== 'float32' || got !== expected) {
      throw new IntegrityError('a tensor of a choice checkpoint is missing or of the wrong shape', {
        context: { tensor: prefix + name, expected, got },
      });
    }
    return tensor.data.slice();
  });
}

function fileOf(files: CheckpointFiles, name: string): Uint8Array {
  const bytes = files.get(name);
  if (bytes === undefined) {
    throw new IntegrityError('a file of a choice checkpoint is missing', {
      context: { file: name },
    });
  }
  return bytes;
}

/** For people's eyes, but with one spelling per value. */
function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(JSON.parse(canonicalJson(value)), null, 2)}\n`);
}

function decodeJson<T>(schema: z.ZodType<T>, files: CheckpointFiles, name: string): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(fileOf(files, name)).toString('utf8')));
  } catch (cause) {
    throw new IntegrityError(
      'a file of a choice checkpoint cannot be read: expected format version 1',
      {
        context: { file: name },
        cause,
      },
    );
  }
}

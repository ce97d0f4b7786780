import { IntegrityError, InvalidInputError } from '../../errors';
import type { ChoiceConfig } from '../../schemas/choice-config';
import { readSafetensors, writeSafetensors, type Tensor } from '../../storage/safetensors';
import { fromTensors, toTensors, type Moments } from './checkpoint';
import type { Parameters } from './parameters';

/**
 * Where a job stands between two optimizer steps: all that the rest of it depends on besides the job itself. As bytes it is
 * a safetensors file with the job's name and the step. It is no checkpoint: nobody serves it.
 */
export interface Running {
  readonly parameters: Parameters;
  readonly moments: Moments;
  /** float64, so that resuming adds to the same bits. */
  readonly sums: Float64Array;
  /** Steps done. */
  readonly step: number;
}

/** The job that a state belongs to, and the policy that it trains. */
interface StateOwner {
  readonly job: string;
  readonly config: ChoiceConfig;
}

/** Equal states give equal bytes. */
export function encodeState(
  { job, config }: StateOwner,
  { parameters, moments, sums, step }: Running,
): Uint8Array {
  const tensors = new Map<string, Tensor>([
    ...toTensors(config, parameters),
    ...toTensors(config, moments.first, 'first_moment.'),
    ...toTensors(config, moments.second, 'second_moment.'),
    ['sums', { dtype: 'float64', shape: [sums.length], data: sums }],
  ]);
  return writeSafetensors(tensors, {
    format: 'ratchet.choice-training',
    version: '1',
    job,
    step: String(step),
  });
}

/**
 * @returns copies, which training may change.
 * @throws {InvalidInputError} if the state belongs to another job; {IntegrityError} if it is damaged.
 */
export function decodeState({ job, config }: StateOwner, bytes: Uint8Array): Running {
  const { tensors, metadata } = readSafetensors(bytes);
  if (metadata['job'] !== job) {
    throw new InvalidInputError('cannot resume: the state belongs to another training job', {
      context: { expected: job, got: metadata['job'] },
    });
  }
  const sums = tensors.get('sums');
  if (sums?.dtype !== 'float64') throw new IntegrityError('a training state lacks its sums');
  return {
    parameters: fromTensors(config, tensors),
    moments: {
      first: fromTensors(config, tensors, 'first_moment.'),
      second: fromTensors(config, tensors, 'second_moment.'),
    },
    sums: sums.data.slice(),
    step: Number(metadata['step']),
  };
}

import { InvalidInputError } from '../../errors';
import { stream } from '../../rl/counter-rng';
import type { ChoiceConfig } from '../../schemas/choice-config';

/** Names as in a PyTorch module; a linear layer's weight is [out, in]. */
export const PARAMETER_NAMES = [
  'embedding.weight',
  'hidden.weight',
  'hidden.bias',
  'output.weight',
  'output.bias',
  'skip.weight',
] as const;
export type ParameterName = (typeof PARAMETER_NAMES)[number];

export type DenseName = Exclude<ParameterName, 'embedding.weight'>;

/** All but the embedding table: small, and updated as a whole in every step. */
export const DENSE_NAMES = PARAMETER_NAMES.filter(
  (name): name is DenseName => name !== 'embedding.weight',
);

/** float32 values by name, row-major; `parameterShapes` says how they are shaped. */
export type Parameters = Readonly<Record<ParameterName, Float32Array>>;

export function parameterShapes({
  arms,
  features,
  network,
}: ChoiceConfig): Record<ParameterName, number[]> {
  return {
    'embedding.weight': [features.buckets, network.embedding],
    'hidden.weight': [network.hidden, network.embedding],
    'hidden.bias': [network.hidden],
    'output.weight': [arms.length, network.hidden],
    'output.bias': [arms.length],
    'skip.weight': [arms.length, network.embedding],
  };
}

/** One value per parameter name, in the order of PARAMETER_NAMES. */
export function byParameter<T>(valueOf: (name: ParameterName) => T): Record<ParameterName, T> {
  return Object.fromEntries(PARAMETER_NAMES.map((name) => [name, valueOf(name)])) as Record<
    ParameterName,
    T
  >;
}

export function zeroParameters(config: ChoiceConfig): Parameters {
  const shapes = parameterShapes(config);
  return byParameter((name) => new Float32Array(sizeOf(shapes[name])));
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/**
 * As `initialParameters`, but what is said about each arm is its prior and nothing else: the weights of the last layers are 0.
 *
 * @param prior probability by arm; only their relation counts.
 * @throws {InvalidInputError} if an arm has none, or one that is not positive, or another is named.
 */
export function priorParameters(
  config: ChoiceConfig,
  prior: Readonly<Record<string, number>>,
  seed: number,
): Parameters {
  const names = config.arms.map(({ name }) => name);
  const wrong = [
    ...names.filter((name) => !(Number.isFinite(prior[name]) && (prior[name] as number) > 0)),
    ...Object.keys(prior).filter((name) => !names.includes(name)),
  ];
  if (wrong.length > 0) {
    throw new InvalidInputError(
      `a prior needs a positive number for every arm, and for no other: look at ${wrong.join(', ')}`,
    );
  }
  const sum = names.reduce((total, name) => total + (prior[name] as number), 0);
  const parameters = initialParameters(config, seed);
  parameters['output.weight'].fill(0);
  parameters['skip.weight'].fill(0);
  for (const [i, name] of names.entries()) {
    parameters['output.bias'][i] = Math.log((prior[name] as number) / sum);
  }
  return parameters;
}

/** Standard deviation of a new embedding table: n-grams that no demonstration has are close to nothing, not noise. */
const EMBEDDING_DEVIATION = 0.1;

/**
 * New parameters: uniform around 0, embeddings with standard deviation 0.1, weights within ±1/√in (PyTorch's default for a
 * linear layer), biases 0. Each parameter has its own stream of random numbers.
 */
export function initialParameters(config: ChoiceConfig, seed: number): Parameters {
  const shapes = parameterShapes(config);
  return byParameter((name) => {
    const shape = shapes[name];
    if (name.endsWith('.bias')) return new Float32Array(sizeOf(shape));
    const bound =
      name === 'embedding.weight'
        ? EMBEDDING_DEVIATION * Math.sqrt(3)
        : 1 / Math.sqrt(shape[1] as number);
    const random = stream({ seed, purpose: 'choice.init', task: name });
    return Float32Array.from(
      { length: sizeOf(shape) },
      () => (random.below(2 ** 32) / 2 ** 31 - 1) * bound,
    );
  });
}

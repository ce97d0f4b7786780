import type { Shape } from '../../autodiff/graph';
import { sameShape, sizeOf } from '../../autodiff/graph';
import { IntegrityError } from '../../errors';
import { stream } from '../../rl/counter-rng';
import type { LanguageConfig } from './language-config';

export const EMBEDDING = 'model.embed_tokens.weight';
export const OUTPUT_EMBEDDING = 'lm_head.weight';

/** A linear layer of the network, with its sizes. */
export interface LinearLayer {
  /** Without `.weight` or `.bias`. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly hasBias: boolean;
}

/** The linear layers of all blocks, in the order in which they are applied. */
export function linearLayers(config: LanguageConfig): LinearLayer[] {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  return Array.from({ length: config.layers }, (_, i) => {
    const layer = (
      name: string,
      inputs: number,
      outputs: number,
      hasBias: boolean,
    ): LinearLayer => ({ name: `model.layers.${i}.${name}`, inputs, outputs, hasBias });
    return [
      layer('self_attn.q_proj', hiddenSize, heads * headDim, config.qkvBias),
      layer('self_attn.k_proj', hiddenSize, kvHeads * headDim, config.qkvBias),
      layer('self_attn.v_proj', hiddenSize, kvHeads * headDim, config.qkvBias),
      layer('self_attn.o_proj', heads * headDim, hiddenSize, config.outputBias),
      layer('mlp.gate_proj', hiddenSize, intermediateSize, config.mlpBias),
      layer('mlp.up_proj', hiddenSize, intermediateSize, config.mlpBias),
      layer('mlp.down_proj', intermediateSize, hiddenSize, config.mlpBias),
    ];
  }).flat();
}

/** The shape of every parameter by its name in Hugging Face's files; matrices are [out, in]. A tied output embedding is none. */
export function parameterShapes(config: LanguageConfig): Record<string, Shape> {
  const { vocabSize, hiddenSize, headDim } = config;
  const shapes: Record<string, Shape> = { [EMBEDDING]: [vocabSize, hiddenSize] };
  for (const { name, inputs, outputs, hasBias } of linearLayers(config)) {
    shapes[`${name}.weight`] = [outputs, inputs];
    if (hasBias) shapes[`${name}.bias`] = [outputs];
  }
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    shapes[`${layer}.input_layernorm.weight`] = [hiddenSize];
    shapes[`${layer}.post_attention_layernorm.weight`] = [hiddenSize];
    if (config.qkNorm) {
      shapes[`${layer}.self_attn.q_norm.weight`] = [headDim];
      shapes[`${layer}.self_attn.k_norm.weight`] = [headDim];
    }
  }
  shapes['model.norm.weight'] = [hiddenSize];
  if (!config.tieEmbeddings) shapes[OUTPUT_EMBEDDING] = [vocabSize, hiddenSize];
  return shapes;
}

export function parameterCount(config: LanguageConfig): number {
  return Object.values(parameterShapes(config)).reduce((sum, shape) => sum + sizeOf(shape), 0);
}

/** Matrices, by custom: not norms, not biases. */
export function decayedParameters(shapes: Readonly<Record<string, Shape>>): ReadonlySet<string> {
  return new Set(Object.keys(shapes).filter((name) => shapes[name]?.length === 2));
}

/** Buffers that old checkpoints stored, and that are computed from the configuration. */
const COMPUTED = /\.rotary_emb\.inv_freq$/;

/**
 * Whether a model's files hold exactly the parameters of its configuration. A stored output embedding of a tied model is let be: whoever
 * reads the files takes the input embedding.
 *
 * @param stored the shape of every stored tensor. @throws {IntegrityError} that lists all that is missing, surplus or of another shape.
 */
export function checkParameters(config: LanguageConfig, stored: ReadonlyMap<string, Shape>): void {
  const counted = [...stored].filter(
    ([name]) => !COMPUTED.test(name) && !(name === OUTPUT_EMBEDDING && config.tieEmbeddings),
  );
  assertShapes('the weights do not fit config.json', parameterShapes(config), new Map(counted));
}

/** @throws {IntegrityError} that lists all that is missing, surplus or of another shape. */
export function assertShapes(
  message: string,
  expected: Readonly<Record<string, Shape>>,
  stored: ReadonlyMap<string, Shape>,
): void {
  const faults = [
    ...Object.entries(expected).flatMap(([name, shape]) => {
      const got = stored.get(name);
      if (got === undefined) return [`${name} is missing`];
      return sameShape(got, shape)
        ? []
        : [`${name}: expected [${shape.join(', ')}], got [${got.join(', ')}]`];
    }),
    ...[...stored.keys()]
      .filter((name) => !Object.hasOwn(expected, name))
      .map((name) => `${name} does not belong there`),
  ];
  if (faults.length === 0) return;
  throw new IntegrityError(
    `${message}: ${faults.slice(0, 10).join('; ')}${faults.length > 10 ? `; and ${faults.length - 10} more` : ''}`,
  );
}

/** Where training from nothing begins: normal with deviation 0.02 (transformers' initializer_range), norms 1, biases 0. */
export function initialParameters(
  config: LanguageConfig,
  seed: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(parameterShapes(config)).map(([name, shape]) => {
      if (shape.length === 1) {
        return [name, new Float32Array(sizeOf(shape)).fill(name.endsWith('.bias') ? 0 : 1)];
      }
      const random = stream({ seed, purpose: 'language.initial', task: name });
      const values = new Float32Array(sizeOf(shape));
      for (let i = 0; i < values.length; i += 2) {
        // Box and Muller 1958: two normal numbers of two uniform ones.
        const radius = 0.02 * Math.sqrt(-2 * Math.log(1 - random.next()));
        const angle = 2 * Math.PI * random.next();
        values[i] = radius * Math.cos(angle);
        if (i + 1 < values.length) values[i + 1] = radius * Math.sin(angle);
      }
      return [name, values];
    }),
  );
}

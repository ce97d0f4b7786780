import { z } from 'zod';
import { InvalidInputError } from '../../errors';
import type { LanguageConfig, RopeScaling } from './language-config';

// What Hugging Face's config.json says about a decoder, in the spelling of transformers 4 (`rope_theta`, `rope_scaling`) and 5
// (`rope_parameters`). Keys that mean nothing for what is computed here are not looked at; what would change it is refused by name.

const Size = z.int().positive();

const Rope = z.looseObject({
  rope_type: z.string().optional(),
  /** The older name of rope_type. */
  type: z.string().optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: Size.optional(),
  attention_factor: z.number().positive().nullish(),
  beta_fast: z.number().positive().nullish(),
  beta_slow: z.number().positive().nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  partial_rotary_factor: z.number().nullish(),
});
type Rope = z.infer<typeof Rope>;

const HfConfig = z.looseObject({
  model_type: z.enum(['llama', 'qwen2', 'qwen3'], {
    error: ({ input }) =>
      `expected llama, qwen2 or qwen3, got ${JSON.stringify(input)}: other architectures are not supported`,
  }),
  vocab_size: Size,
  hidden_size: Size,
  intermediate_size: Size,
  num_hidden_layers: Size,
  num_attention_heads: Size,
  num_key_value_heads: Size.nullish(),
  head_dim: Size.nullish(),
  max_position_embeddings: Size,
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  use_sliding_window: z.boolean().nullish(),
  sliding_window: z.number().nullish(),
  pretraining_tp: z.number().nullish(),
  quantization_config: z.unknown().optional(),
  rope_theta: z.number().positive().default(10000),
  rope_scaling: Rope.nullish(),
  rope_parameters: Rope.nullish(),
});
type HfConfig = z.infer<typeof HfConfig>;

/**
 * @param json the parsed config.json.
 * @throws {InvalidInputError} naming every key that is wrong, or that asks for something that is not supported.
 */
export function fromHfConfig(json: unknown): LanguageConfig {
  const parsed = HfConfig.safeParse(json);
  if (!parsed.success) {
    throw new InvalidInputError(`config.json: ${z.prettifyError(parsed.error)}`);
  }
  const hf = parsed.data;
  const rope = { ...hf.rope_scaling, ...hf.rope_parameters };
  const heads = hf.num_attention_heads;
  const kvHeads = hf.num_key_value_heads ?? heads;
  // Qwen3 has a size of its own for heads even where it says nothing.
  const headDim = hf.head_dim ?? (hf.model_type === 'qwen3' ? 128 : hf.hidden_size / heads);
  const unsupported = [
    ...(hf.hidden_act === 'silu' ? [] : [`hidden_act ${hf.hidden_act} (expected silu)`]),
    ...(usesSlidingWindow(hf) ? ['sliding window attention'] : []),
    ...((hf.pretraining_tp ?? 1) > 1 ? [`pretraining_tp ${hf.pretraining_tp} (expected 1)`] : []),
    ...((hf.quantization_config ?? null) === null
      ? []
      : ['quantized weights (quantization_config)']),
    ...((rope.partial_rotary_factor ?? 1) === 1 ? [] : ['partial_rotary_factor (expected 1)']),
    ...(Number.isInteger(headDim) && headDim % 2 === 0 ? [] : [`heads of odd size ${headDim}`]),
    ...(heads % kvHeads === 0 ? [] : [`${heads} heads over ${kvHeads} key-value heads`]),
  ];
  if (unsupported.length > 0) {
    throw new InvalidInputError(
      `config.json asks for what is not supported: ${unsupported.join('; ')}`,
    );
  }
  return {
    modelType: hf.model_type,
    vocabSize: hf.vocab_size,
    hiddenSize: hf.hidden_size,
    intermediateSize: hf.intermediate_size,
    layers: hf.num_hidden_layers,
    ...{ heads, kvHeads, headDim },
    maxPositions: hf.max_position_embeddings,
    rmsNormEps: hf.rms_norm_eps,
    ropeTheta: rope.rope_theta ?? hf.rope_theta,
    ropeScaling: ropeScalingOf(rope, hf.max_position_embeddings),
    tieEmbeddings: hf.tie_word_embeddings,
    qkvBias: hf.model_type === 'qwen2' || hf.attention_bias,
    outputBias: hf.model_type !== 'qwen2' && hf.attention_bias,
    mlpBias: hf.model_type === 'llama' && hf.mlp_bias,
    qkNorm: hf.model_type === 'qwen3',
  };
}

/** Llama has none, whatever a stray key says; Qwen has one only where it is switched on. */
function usesSlidingWindow({ model_type, use_sliding_window, sliding_window }: HfConfig): boolean {
  return model_type !== 'llama' && use_sliding_window === true && sliding_window !== null;
}

function ropeScalingOf(rope: Rope, maxPositions: number): RopeScaling {
  const type = rope.rope_type ?? rope.type ?? 'default';
  const need = (key: 'factor' | 'low_freq_factor' | 'high_freq_factor'): number => {
    const value = rope[key];
    if (value !== undefined) return value;
    throw new InvalidInputError(`config.json: rope scaling '${type}' expected ${key}, got none`);
  };
  const originalMaxPositions = rope.original_max_position_embeddings ?? maxPositions;
  switch (type) {
    case 'default':
      return { type: 'none' };
    case 'linear':
      return { type, factor: need('factor') };
    case 'dynamic':
      return { type, factor: need('factor'), originalMaxPositions };
    case 'llama3':
      return {
        type,
        factor: need('factor'),
        lowFreqFactor: need('low_freq_factor'),
        highFreqFactor: need('high_freq_factor'),
        originalMaxPositions,
      };
    case 'yarn': {
      const factor = rope.factor ?? maxPositions / originalMaxPositions;
      return {
        type,
        factor,
        betaFast: rope.beta_fast ?? 32,
        betaSlow: rope.beta_slow ?? 1,
        attentionFactor: rope.attention_factor ?? yarnAttentionFactor(factor, rope),
        originalMaxPositions,
        truncate: rope.truncate ?? true,
      };
    }
    default:
      throw new InvalidInputError(
        `config.json: rope scaling '${type}' is not supported: expected default, linear, dynamic, llama3 or yarn`,
      );
  }
}

/** Peng et al. 2023, arXiv:2309.00071, eq. 22; with DeepSeek's mscale where both are given. */
function yarnAttentionFactor(factor: number, { mscale, mscale_all_dim: all }: Rope): number {
  const scaleOf = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  return mscale && all ? scaleOf(mscale) / scaleOf(all) : scaleOf(1);
}

/** A config.json for a model that has none yet, in the spelling that transformers 4 and 5 both read. */
export function toHfConfig(config: LanguageConfig): Record<string, unknown> {
  const { modelType, ropeScaling } = config;
  const architecture = { llama: 'Llama', qwen2: 'Qwen2', qwen3: 'Qwen3' }[modelType];
  return {
    architectures: [`${architecture}ForCausalLM`],
    model_type: modelType,
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.rmsNormEps,
    hidden_act: 'silu',
    tie_word_embeddings: config.tieEmbeddings,
    ...(modelType === 'qwen2' ? {} : { attention_bias: config.qkvBias }),
    ...(modelType === 'llama' ? { mlp_bias: config.mlpBias } : { use_sliding_window: false }),
    rope_theta: config.ropeTheta,
    rope_scaling: ropeScaling.type === 'none' ? null : toHfRope(ropeScaling),
    torch_dtype: 'float32',
  };
}

function toHfRope(scaling: Exclude<RopeScaling, { type: 'none' }>): Record<string, unknown> {
  const { type, factor } = scaling;
  const base = { rope_type: type, factor };
  switch (scaling.type) {
    case 'linear':
      return base;
    case 'dynamic':
      return { ...base, original_max_position_embeddings: scaling.originalMaxPositions };
    case 'llama3':
      return {
        ...base,
        low_freq_factor: scaling.lowFreqFactor,
        high_freq_factor: scaling.highFreqFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
      };
    case 'yarn':
      return {
        ...base,
        beta_fast: scaling.betaFast,
        beta_slow: scaling.betaSlow,
        attention_factor: scaling.attentionFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
        truncate: scaling.truncate,
      };
  }
}

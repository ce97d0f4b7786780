import type { Node } from '../../autodiff/graph';
import type { GraphBuilder } from '../../autodiff/graph-builder';
import { rotaryEmbedding } from '../../autodiff/runtime-operators';
import { causalAttention, packedCausalMask } from '../../nn/causal-attention';
import { rmsNorm } from '../../nn/rms-norm';
import { swiglu } from '../../nn/swiglu';
import type { LanguageConfig } from './language-config';
import { EMBEDDING } from './parameters';

/** A batch of rows of tokens; both int64 [rows, length]. */
export interface TokenBatch {
  readonly tokens: Node;
  /** Counted from the start of each sequence. */
  readonly positions: Node;
}

/** cos and sin of the rotary angles, [positions, headDim/2]. */
export interface RotaryTables {
  readonly cos: Node;
  readonly sin: Node;
}

/**
 * What a token takes from those that it may look at, in a layer of this number (from 0).
 *
 * @param q [rows, heads, length, headDim]; @param k, v [rows, kvHeads, length, headDim]; q and k are rotated.
 * @returns as q.
 */
export type Attention = (layer: number, q: Node, k: Node, v: Node) => Node;

/** Applies the linear layer of this name, [rows, in] to [rows, out]; `add` is added to the result. */
export type Linear = (name: string, x: Node, add?: Node) => Node;

/**
 * The decoder of Llama, Qwen2 and Qwen3, from tokens to the hidden states that the output embedding is multiplied with:
 *
 *   x = embed(tokens)
 *   per layer:  x = x + o(attention(rotate(q(h)), rotate(k(h)), v(h))),  h = norm(x)
 *               x = x + down(silu(gate(h)) ⊙ up(h)),                     h = norm(x)
 *   norm(x)
 *
 * Touvron et al. 2023, arXiv:2302.13971, figure and section 2.2; Qwen's biases and Qwen3's norms of q and k by configuration.
 *
 * @param parameters by their names in Hugging Face's files.
 * @returns [rows · length, hiddenSize].
 */
export function hiddenStates(
  b: GraphBuilder,
  config: LanguageConfig,
  parameters: Readonly<Record<string, Node>>,
  { tokens, positions }: TokenBatch,
  { cos, sin }: RotaryTables,
  attend: Attention,
  linear: Linear = plainLinear(b, parameters),
): Node {
  const [rows, length] = tokens.shape as [number, number];
  const { heads, kvHeads, headDim, rmsNormEps } = config;
  const parameter = (name: string): Node => parameters[name] as Node;

  /** [rows · length, n · headDim] as [rows, n, length, headDim]. */
  const split = (x: Node, n: number): Node =>
    b.transpose(b.reshape(x, [rows, length, n, headDim]), [0, 2, 1, 3]);
  const merge = (x: Node): Node =>
    b.reshape(b.transpose(x, [0, 2, 1, 3]), [rows * length, heads * headDim]);
  /** Qwen3's norm is over each head by itself. */
  const headNorm = (x: Node, n: number, name: string): Node => {
    if (!config.qkNorm) return x;
    const perHead = b.reshape(x, [rows * length * n, headDim]);
    return b.reshape(rmsNorm(b, perHead, parameter(name), rmsNormEps), x.shape);
  };

  let x = b.reshape(b.gather(parameter(EMBEDDING), tokens), [rows * length, config.hiddenSize]);
  for (let i = 0; i < config.layers; i++) {
    const layer = `model.layers.${i}`;
    const attention = `${layer}.self_attn`;
    const h = rmsNorm(b, x, parameter(`${layer}.input_layernorm.weight`), rmsNormEps);
    const project = (which: 'q' | 'k', n: number): Node => {
      const y = headNorm(
        linear(`${attention}.${which}_proj`, h),
        n,
        `${attention}.${which}_norm.weight`,
      );
      return rotaryEmbedding(b, split(y, n), positions, cos, sin);
    };
    const attended = attend(
      i,
      project('q', heads),
      project('k', kvHeads),
      split(linear(`${attention}.v_proj`, h), kvHeads),
    );
    x = linear(`${attention}.o_proj`, merge(attended), x);
    const h2 = rmsNorm(b, x, parameter(`${layer}.post_attention_layernorm.weight`), rmsNormEps);
    const gated = swiglu(
      b,
      linear(`${layer}.mlp.gate_proj`, h2),
      linear(`${layer}.mlp.up_proj`, h2),
    );
    x = linear(`${layer}.mlp.down_proj`, gated, x);
  }
  return rmsNorm(b, x, parameter('model.norm.weight'), rmsNormEps);
}

/**
 * Attention among tokens of the same sequence, where several stand in a row one after the other.
 *
 * @param segments int64 [rows, length]: which sequence of its row a token belongs to; padding is a sequence like any other.
 */
export function packedAttention(
  b: GraphBuilder,
  segments: Node,
  dtype: 'float32' | 'float64' = 'float32',
): Attention {
  const mask = packedCausalMask(b, segments, dtype);
  return (_layer, q, k, v) => causalAttention(b, q, k, v, mask);
}

/** x · Wᵀ + bias, with the biases that there are. */
export function plainLinear(b: GraphBuilder, parameters: Readonly<Record<string, Node>>): Linear {
  return (name, x, add) => {
    const weight = parameters[`${name}.weight`] as Node;
    const bias = parameters[`${name}.bias`];
    if (bias === undefined) return b.gemm(x, weight, { transB: true, ...(add && { add }) });
    const row = b.reshape(bias, [1, ...bias.shape]);
    return b.gemm(x, weight, { transB: true, add: add === undefined ? row : b.add(add, row) });
  };
}

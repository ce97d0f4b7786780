import type { LanguageConfig } from './language-config';

/**
 * The angles of rotary embeddings: position p turns pair i by p · f_i, f_i = θ^(−2i/d), scaled as the configuration says so that
 * a model reaches further than it was trained. Su et al. 2021, arXiv:2104.09864; the scalings as transformers computes them
 * (modeling_rope_utils.py), in float64 where it has float32.
 *
 * `dynamic` only changes anything beyond maxPositions, which nothing here goes to.
 */
export function inverseFrequencies({
  headDim,
  ropeTheta,
  ropeScaling,
}: Pick<LanguageConfig, 'headDim' | 'ropeTheta' | 'ropeScaling'>): {
  /** f_i, [headDim/2]. */
  readonly frequencies: Float64Array;
  /** What cos and sin are multiplied with. */
  readonly attentionFactor: number;
} {
  const plain = Float64Array.from(
    { length: headDim / 2 },
    (_, i) => ropeTheta ** ((-2 * i) / headDim),
  );
  switch (ropeScaling.type) {
    case 'none':
    case 'dynamic':
      return { frequencies: plain, attentionFactor: 1 };
    case 'linear':
      return { frequencies: plain.map((f) => f / ropeScaling.factor), attentionFactor: 1 };
    case 'llama3': {
      // Long waves are stretched, short ones kept, those between interpolated.
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = ropeScaling;
      const frequencies = plain.map((f) => {
        const turns = (originalMaxPositions * f) / (2 * Math.PI);
        if (turns < lowFreqFactor) return f / factor;
        if (turns > highFreqFactor) return f;
        const share = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
        return (1 - share) * (f / factor) + share * f;
      });
      return { frequencies, attentionFactor: 1 };
    }
    case 'yarn': {
      const { factor, betaFast, betaSlow, attentionFactor, originalMaxPositions } = ropeScaling;
      /** The pair that makes so many turns within the original length. */
      const pairOf = (turns: number): number =>
        (headDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) /
        (2 * Math.log(ropeTheta));
      const [fast, slow] = [pairOf(betaFast), pairOf(betaSlow)];
      const low = Math.max(ropeScaling.truncate ? Math.floor(fast) : fast, 0);
      const top = Math.min(ropeScaling.truncate ? Math.ceil(slow) : slow, headDim - 1);
      const high = low === top ? top + 0.001 : top;
      const frequencies = plain.map((f, i) => {
        const stretched = Math.min(1, Math.max(0, (i - low) / (high - low)));
        return (f / factor) * stretched + f * (1 - stretched);
      });
      return { frequencies, attentionFactor };
    }
  }
}

/** cos and sin of every angle, float32 [positions, headDim/2], row-major. */
export function rotaryTables(
  config: Pick<LanguageConfig, 'headDim' | 'ropeTheta' | 'ropeScaling'>,
  positions: number,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const { frequencies, attentionFactor } = inverseFrequencies(config);
  const half = frequencies.length;
  const table = (f: (angle: number) => number): Float32Array =>
    Float32Array.from(
      { length: positions * half },
      (_, i) => f(Math.floor(i / half) * (frequencies[i % half] as number)) * attentionFactor,
    );
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** What a decoder language model is, whatever its config.json calls it. */
export interface LanguageConfig {
  readonly modelType: 'llama' | 'qwen2' | 'qwen3';
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  readonly tieEmbeddings: boolean;
  /** Biases of q, k and v. */
  readonly qkvBias: boolean;
  /** Bias of the attention's output projection. */
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** RMSNorm of each head's q and k before the rotation (Qwen3). */
  readonly qkNorm: boolean;
}
export type RopeScaling =
  | { readonly type: 'none' }
  | { readonly type: 'linear'; readonly factor: number }
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalMaxPositions: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly attentionFactor: number;
      readonly originalMaxPositions: number;
      readonly truncate: boolean;
    };

import { nextTokenLoss } from '../../../losses/next-token';
import type { TokenLoss } from './accumulate-graph';

/** Supervised fine-tuning. `nll` is the summed negative log-likelihood, unweighted by anything but whether a token counts. */
export const supervised: TokenLoss = {
  name: 'supervised',
  inputs: { weights: 'float32' },
  build: (b, { logProbs, inputs }) => ({
    perToken: nextTokenLoss(b, logProbs, inputs['weights'] as NonNullable<(typeof inputs)[string]>),
  }),
};

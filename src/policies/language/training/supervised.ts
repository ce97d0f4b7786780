import type { Node } from '../../../autodiff/graph';
import { nextTokenLoss } from '../../../losses/next-token';
import type { TokenLoss } from './accumulate-graph';

/** Supervised fine-tuning: each trained token counts by its weight. */
export const supervised: TokenLoss = {
  inputs: ['weights'],
  build: (b, { logProbs, inputs }) => ({
    perToken: nextTokenLoss(b, logProbs, inputs['weights'] as Node),
  }),
};

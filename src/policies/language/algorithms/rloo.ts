import type { ConfigOf } from '../../../schemas/language-train-config';
import type { Algorithm } from './algorithm';
import { groupRelative } from './group-relative';

/**
 * REINFORCE leave-one-out. Ahmadian et al. 2024, arXiv:2402.14740, after Kool et al. 2019. Â = R − mean of the other episodes of the task: an unbiased baseline that
 * costs nothing.
 */
export function rloo({ objective, zeroVariance }: ConfigOf<'rloo'>): Algorithm {
  return groupRelative({ objective, normalization: 'leave-one-out', zeroVariance });
}

import type { ConfigOf } from '../../../schemas/language-train-config';
import type { Algorithm } from './algorithm';
import { groupRelative } from './group-relative';

/**
 * Group relative policy optimization. Shao et al. 2024, arXiv:2402.03300. Â = R − mean of the group, over PPO's clipped surrogate; no value network.
 *
 * Its variants are settings. Dr.GRPO (arXiv:2503.20783): `advantage: mean`, which is the default, and `aggregation: {constant}`. DAPO (arXiv:2503.14476):
 * `aggregation: token-mean`, `surrogate.high: 0.28`, both the defaults, and `overlong`. GSPO (arXiv:2507.18071): `ratio: sequence`, `aggregation: sequence-mean`, `low: 3e-4`,
 * `high: 4e-4`. CISPO (arXiv:2506.13585): `surrogate.kind: cispo`. As published: `advantage: std`, `aggregation: sequence-mean`, `high: 0.2`, `dual: null`.
 */
export function grpo({ objective, advantage, zeroVariance }: ConfigOf<'grpo'>): Algorithm {
  return groupRelative({ objective, normalization: advantage, zeroVariance });
}

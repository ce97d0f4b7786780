import type { LanguageTrainConfig } from '../../../schemas/language-train-config';
import type { Algorithm } from './algorithm';
import { dpo } from './dpo';
import { grpo } from './grpo';
import { ppo } from './ppo';
import { reinforce } from './reinforce';
import { rejectionSampling } from './rejection-sampling';
import { rloo } from './rloo';
import { sft } from './sft';

export function createAlgorithm(config: LanguageTrainConfig): Algorithm {
  switch (config.algorithm) {
    case 'sft':
      return sft();
    case 'rejection-sampling':
      return rejectionSampling(config);
    case 'reinforce':
      return reinforce(config);
    case 'rloo':
      return rloo(config);
    case 'grpo':
      return grpo(config);
    case 'ppo':
      return ppo(config);
    case 'dpo':
      return dpo(config);
  }
}

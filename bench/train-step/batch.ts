import type { TrainingSequence } from '../../src/policies/language/training/pack';
import { stream } from '../../src/rl/counter-rng';
import { VOCABULARY } from '../language/sizes';

export const TOKENS = 4096;

/** Which 4,096 tokens: `even`, all of them trained on, is the worst case for packing and for leaving out logits. */
export type Mix = 'even' | 'mixed';

/** 32 sequences of 128 tokens; or 32 to 288 tokens each, of which the second half is trained on, as in fine-tuning. */
export function lengthsOf(mix: Mix): number[] {
  if (mix === 'even') return Array.from({ length: TOKENS / 128 }, () => 128);
  const random = stream({ seed: 1, purpose: 'bench.train-step', task: 'lengths' });
  const lengths: number[] = [];
  for (let left = TOKENS; left > 0; left -= lengths.at(-1) as number) {
    const length = 32 + random.below(257);
    lengths.push(left - length < 32 ? left : length);
  }
  return lengths;
}

export function batchOf(mix: Mix): TrainingSequence[] {
  const random = stream({ seed: 1, purpose: 'bench.train-step', task: 'tokens' });
  return lengthsOf(mix).map((length) => {
    const prompt = mix === 'even' ? 0 : length / 2;
    const tokens = Array.from({ length }, () => random.below(VOCABULARY));
    return { tokens, mask: tokens.map((_, t) => Number(t >= prompt)) };
  });
}

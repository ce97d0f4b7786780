import { InvalidInputError } from '../errors';
import { normalQuantile } from './distributions';

/** A logged choice, and how probable it is under the policy in question. */
export interface LoggedChoice {
  /** It was drawn with this probability. */
  readonly propensity: number;
  /** The policy in question would draw it with this one. */
  readonly probability: number;
  readonly reward: number;
}

export interface OffPolicyEstimate {
  readonly n: number;
  /** Mean reward of the policy in question, self-normalized: Σ w·r / Σ w, w = probability / propensity. */
  readonly value: number;
  /** Mean of the logged rewards: what the policy that drew them earned. */
  readonly logged: number;
  /** One-sided bounds of value − logged, each with the confidence asked for; null where there are none. */
  readonly lower: number | null;
  readonly upper: number | null;
  /** (Σ w)² / Σ w²: as many choices drawn by the policy itself would say as much. */
  readonly effectiveN: number;
  /** Why the estimate must not be used; null where it may be. */
  readonly refusal: string | null;
}

const MIN_CHOICES = 30;
const MIN_EFFECTIVE_SHARE = 0.1;
const MAX_WEIGHT_SHARE = 0.1;

/**
 * What a policy would have earned on choices that another one drew (SNIPS; Swaminathan & Joachims 2015). Consistent where every choice that
 * the policy may take was drawn with some probability; the bounds are those of its linearization, for independent choices.
 *
 * It refuses to answer where it cannot know: too few choices, too few of them that the policy would make (effective share below 10 %), or a
 * tenth of all weight on a single one.
 *
 * @throws {InvalidInputError} for none, or a propensity that is not positive.
 */
export function estimateOffPolicy(
  choices: readonly LoggedChoice[],
  { confidence }: { readonly confidence: number },
): OffPolicyEstimate {
  const n = choices.length;
  if (n === 0) throw new InvalidInputError('an off-policy estimate: expected choices, got none');
  if (!choices.every(({ propensity }) => propensity > 0)) {
    throw new InvalidInputError('an off-policy estimate: expected positive propensities');
  }
  const weights = choices.map(({ probability, propensity }) => probability / propensity);
  const total = sum(weights);
  const logged = sum(choices.map(({ reward }) => reward)) / n;
  if (total === 0) {
    const refusal = 'the policy makes none of the choices that were logged';
    return { n, value: logged, logged, lower: null, upper: null, effectiveN: 0, refusal };
  }
  const value = sum(choices.map(({ reward }, i) => (weights[i] as number) * reward)) / total;
  // The influence of one choice on the difference; its mean is 0.
  const influences = choices.map(
    ({ reward }, i) => ((weights[i] as number) * n * (reward - value)) / total - (reward - logged),
  );
  const half = (normalQuantile(confidence) * Math.sqrt(sum(influences.map((x) => x * x)))) / n;
  const effectiveN = (total * total) / sum(weights.map((w) => w * w));
  const largest = weights.reduce((a, b) => Math.max(a, b)) / total;
  const difference = value - logged;
  return {
    ...{ n, value, logged, effectiveN, lower: difference - half, upper: difference + half },
    refusal: refusalOf(n, effectiveN, largest),
  };
}

function refusalOf(n: number, effectiveN: number, largest: number): string | null {
  if (n < MIN_CHOICES) return `${n} choices are too few: at least ${MIN_CHOICES} are needed`;
  if (effectiveN < MIN_EFFECTIVE_SHARE * n) {
    return `the policy makes too few of the logged choices: ${effectiveN.toFixed(1)} of ${n} effectively`;
  }
  if (largest > MAX_WEIGHT_SHARE) {
    return `one choice has ${(100 * largest).toFixed(0)} % of all weight: it was drawn too rarely`;
  }
  return null;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

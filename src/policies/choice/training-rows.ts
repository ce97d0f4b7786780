import { InvalidInputError } from '../../errors';
import type { ReplayEntry } from '../../rl/replay-buffer';
import { leaveOneOutAdvantages, meanAdvantages } from '../../rl/baselines';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { Demonstration } from '../../schemas/task';
import type { ReplayTrainConfig } from '../../schemas/train-config';
import type { Feedback } from '../policy-kind';
import { featurize, type Features } from './features';

/** One example of a training step. What it teaches is a sum of three terms, any of which may be absent. */
export interface TrainingRow {
  readonly text: Features;
  /** Indices of the arms that could be taken; all others are masked. */
  readonly available: Int32Array;
  /** Cross-entropy: Σ q · −log p(arm). */
  readonly right: readonly ArmWeight[];
  /** −log(1 − Σ w · p(arm)), times `wrongScale`. */
  readonly wrong: readonly ArmWeight[];
  readonly wrongScale: number;
  readonly decision: DecisionTerm | null;
  /** Of the whole row, relative to the others. */
  readonly weight: number;
}

export interface ArmWeight {
  readonly arm: number;
  readonly weight: number;
}

/** The policy-gradient term of a decision that the parent checkpoint took. */
export interface DecisionTerm {
  readonly arm: number;
  readonly advantage: number;
  readonly propensity: number;
}

const NOTHING = { right: [], wrong: [], wrongScale: 0, decision: null, weight: 1 } as const;

/** Looks arms up by name, and sets of arms by their array: decisions with the same arms share one. */
export function armIndex(config: ChoiceConfig): {
  readonly indexOf: (arm: string) => number;
  readonly indicesOf: (available: readonly string[]) => Int32Array;
} {
  const indices = new Map(config.arms.map(({ name }, index) => [name, index]));
  const sets = new WeakMap<readonly string[], Int32Array>();
  const indexOf = (arm: string): number => {
    const index = indices.get(arm);
    if (index === undefined) {
      throw new InvalidInputError('feedback names an arm that the policy does not have', {
        context: { arm },
      });
    }
    return index;
  };
  return {
    indexOf,
    indicesOf(available) {
      let set = sets.get(available);
      if (set === undefined)
        sets.set(available, (set = Int32Array.from(available, indexOf).sort()));
      return set;
    },
  };
}

/**
 * Demonstrations: cross-entropy on the demonstrated arm, all arms available.
 *
 * @throws {InvalidInputError} if there are none, one names an unknown arm, or an arm has none.
 */
export function demonstrationRows(
  config: ChoiceConfig,
  demonstrations: readonly Demonstration[],
): TrainingRow[] {
  if (demonstrations.length === 0) {
    throw new InvalidInputError('creating a policy needs demonstrations of every arm, got none');
  }
  const { indexOf, indicesOf } = armIndex(config);
  const names = config.arms.map(({ name }) => name);
  const shown = new Set(demonstrations.map(({ arm }) => arm));
  const missing = names.filter((name) => !shown.has(name));
  if (missing.length > 0) {
    throw new InvalidInputError(
      `creating a policy needs demonstrations of every arm, got none of: ${missing.join(', ')}`,
    );
  }
  const available = indicesOf(names);
  return demonstrations.map(({ text, arm }) => ({
    ...NOTHING,
    text: featurize(text, config.features),
    available,
    right: [{ arm: indexOf(arm), weight: 1 }],
  }));
}

/**
 * Stored feedback. With r̄ an arm's mean reward and best = max r̄ over the arms that were taken:
 *
 *   right: q = r̄ / max(1, Σ r̄);   wrong: w = (1 − r̄) / (1 − min r̄), scaled by wrongWeight · (1 − best).
 *
 * For one arm with 0/1 rewards that is −log p if it was right and −log(1 − p) if it was wrong; for one arm and a reward
 * between, the two with weights r and 1 − r, least at p = r. Once an arm is known to be right, wrong ones add nothing.
 *
 * @param iteration of this training; entries count `decay` less per iteration since their last feedback.
 */
export function replayRows(
  config: ChoiceConfig,
  entries: readonly ReplayEntry[],
  { iteration, train }: { readonly iteration: number; readonly train: ReplayTrainConfig },
): TrainingRow[] {
  const { indexOf, indicesOf } = armIndex(config);
  return entries.map((entry): TrainingRow => {
    const means = entry.arms.map(({ arm, count, reward }) => ({
      arm: indexOf(arm),
      mean: reward / count,
    }));
    const total = means.reduce((sum, { mean }) => sum + mean, 0);
    const best = Math.max(...means.map(({ mean }) => mean));
    const worst = Math.min(...means.map(({ mean }) => mean));
    return {
      ...NOTHING,
      text: featurize(entry.text, config.features),
      available: indicesOf(entry.available),
      right: means
        .filter(({ mean }) => mean > 0)
        .map(({ arm, mean }) => ({ arm, weight: mean / Math.max(1, total) })),
      wrong: means
        .filter(({ mean }) => mean < 1)
        .map(({ arm, mean }) => ({ arm, weight: (1 - mean) / (1 - worst) })),
      wrongScale: train.wrongWeight * (1 - best),
      weight: train.decay ** Math.max(0, iteration - entry.iteration),
    };
  });
}

/**
 * Stored feedback, to learn what each arm is worth: q is the sum of what an arm earned on a text, w how often it was taken less that. A text
 * that was asked often counts as often.
 *
 * @param iteration of this training; entries count `decay` less per iteration since their last feedback.
 */
export function valueRows(
  config: ChoiceConfig,
  entries: readonly ReplayEntry[],
  { iteration, decay }: { readonly iteration: number; readonly decay: number },
): TrainingRow[] {
  const { indexOf, indicesOf } = armIndex(config);
  return entries.map((entry): TrainingRow => ({
    ...NOTHING,
    text: featurize(entry.text, config.features),
    available: indicesOf(entry.available),
    right: entry.arms.map(({ arm, reward }) => ({ arm: indexOf(arm), weight: reward })),
    wrong: entry.arms.map(({ arm, count, reward }) => ({
      arm: indexOf(arm),
      weight: count - reward,
    })),
    wrongScale: 1,
    weight: decay ** Math.max(0, iteration - entry.iteration),
  }));
}

/** An iteration's own decisions, with advantages in the units of the reward. */
export function decisionRows(
  config: ChoiceConfig,
  feedback: readonly Feedback[],
  {
    baseline,
    weight,
  }: { readonly baseline: 'mean' | 'leave-one-out' | 'none'; readonly weight: number },
): TrainingRow[] {
  const { indexOf, indicesOf } = armIndex(config);
  const rewards = Float64Array.from(feedback, ({ reward }) => reward);
  const advantages =
    baseline === 'none'
      ? rewards
      : baseline === 'mean'
        ? meanAdvantages(rewards)
        : leaveOneOutAdvantages(rewards);
  return feedback.map(({ text, available, arm, propensity }, i) => ({
    ...NOTHING,
    text: featurize(text, config.features),
    available: indicesOf(available),
    decision: { arm: indexOf(arm), advantage: advantages[i] as number, propensity },
    weight,
  }));
}

import type { Node } from '../../../autodiff/graph';
import { valueLoss } from '../../../losses/value-loss';
import { generalizedAdvantages } from '../../../rl/returns';
import type { ConfigOf } from '../../../schemas/language-train-config';
import type { TokenLoss } from '../training/accumulate-graph';
import type { Algorithm } from './algorithm';
import { penalized, usableGroups } from './comparable-groups';
import { DropCount } from './drops';
import { needed, policyBatch, scoresNeeded, type ValuedSample } from './policy-batch';
import { policyLoss } from './policy-loss';
import { returnOf, type Episode, type Sample } from './samples';

export const VALUE_WEIGHT = 'value_head.weight';
export const VALUE_BIAS = 'value_head.bias';
const RETURNS = 'returns';
const OLD_VALUES = 'oldValues';

/**
 * Proximal policy optimization with a value head. Schulman et al. 2017, arXiv:1707.06347; over tokens as in Ouyang et al. 2022, arXiv:2203.02155: each sampled
 * token is an action, what an episode earned comes with its last one (or a step's with the step's last one), advantages are generalized estimates.
 *
 * The value head is linear on the last hidden state, V = w·h + b, and begins at 0; its gradient also reaches the network.
 */
export function ppo(config: ConfigOf<'ppo'>): Algorithm {
  const { objective } = config;
  return {
    loss: ppoLoss(config),
    needs: new Set([...scoresNeeded(objective), 'values' as const]),
    extraParameters: ({ hiddenSize }) => ({ [VALUE_WEIGHT]: [1, hiddenSize], [VALUE_BIAS]: [1] }),
    batch(groups, scoresOf, state) {
      const drops = new DropCount();
      const episodes = usableGroups(groups, { maxAge: objective.maxAge }, drops)
        .flatMap((group) => group.episodes)
        .map((episode) => penalized(episode, objective.overlong));
      const estimated = episodes.flatMap((episode) =>
        episode.samples.map((sample) =>
          estimate(sample, episode, needed(scoresOf(sample).values, 'values'), config),
        ),
      );
      const valued = config.whiten ? whitened(estimated) : estimated;
      const batch = policyBatch(valued, objective, scoresOf, drops);
      const metrics = { explainedVariance: explainedVariance(estimated) };
      return { batch: { ...batch, drops: drops.counts(), metrics }, state };
    },
  };
}

/** V before each target, [targets]. */
export function valuesAt(
  b: Parameters<TokenLoss['build']>[0],
  hidden: Node,
  parameters: Readonly<Record<string, Node>>,
): Node {
  const [targets] = hidden.shape as [number, number];
  const [weight, bias] = [parameters[VALUE_WEIGHT] as Node, parameters[VALUE_BIAS] as Node];
  const add = b.reshape(bias, [1, 1]);
  return b.reshape(b.gemm(hidden, weight, { transB: true, add }), [targets]);
}

function ppoLoss({ objective, valueCoefficient, valueClip }: ConfigOf<'ppo'>): TokenLoss {
  const policy = policyLoss(objective);
  return {
    inputs: [...policy.inputs, RETURNS, OLD_VALUES],
    build(b, input) {
      const { perToken, sums } = policy.build(b, input);
      const { inputs, hidden, parameters } = input;
      const of = (name: string): Node => inputs[name] as Node;
      const values = valuesAt(b, hidden, parameters);
      const errors = valueLoss(b, values, of(RETURNS), of(OLD_VALUES), valueClip);
      const weighted = b.mul(of('weights'), errors);
      return {
        perToken: b.add(perToken, b.scale(weighted, valueCoefficient)),
        sums: { ...sums, valueLoss: b.sumAll(weighted) },
      };
    },
  };
}

/** The sampled tokens of a sample as one sequence of actions. */
function estimate(
  sample: Sample,
  episode: Episode,
  values: ArrayLike<number>,
  { discount, lambda }: Pick<ConfigOf<'ppo'>, 'discount' | 'lambda'>,
): ValuedSample {
  const { mask, steps, tokens } = sample;
  const actions = Array.from({ length: tokens.length }, (_, t) => t).filter((t) => mask[t] !== 0);
  const rewards = new Float64Array(actions.length);
  actions.forEach((t, i) => {
    const isLastOfStep = i === actions.length - 1 || steps[actions[i + 1] as number] !== steps[t];
    if (isLastOfStep) rewards[i] = episode.stepRewards?.[steps[t] as number] ?? 0;
  });
  if (episode.stepRewards === null && rewards.length > 0) {
    rewards[rewards.length - 1] = returnOf(episode);
  }
  const before = Float64Array.from(actions, (t) => values[t] as number);
  const estimates = generalizedAdvantages(rewards, before, { discount, lambda });
  const spread = (of: Float64Array): Float64Array => {
    const perToken = new Float64Array(tokens.length);
    actions.forEach((t, i) => (perToken[t] = of[i] as number));
    return perToken;
  };
  return {
    sample,
    advantages: spread(estimates.advantages),
    inputs: { [RETURNS]: spread(estimates.returns), [OLD_VALUES]: spread(before) },
  };
}

/** (Â − mean) / std over all sampled tokens, as CleanRL and TRL do per batch. */
function whitened(valued: readonly ValuedSample[]): ValuedSample[] {
  const all = valued.flatMap(({ sample, advantages }) =>
    Array.from(advantages).filter((_, t) => sample.mask[t] !== 0),
  );
  const mean = all.reduce((sum, a) => sum + a, 0) / Math.max(1, all.length);
  const variance = all.reduce((sum, a) => sum + (a - mean) ** 2, 0) / Math.max(1, all.length - 1);
  const scale = 1 / (Math.sqrt(variance) + 1e-8);
  return valued.map((one) => ({
    ...one,
    advantages: Float64Array.from(one.advantages, (a) => (a - mean) * scale),
  }));
}

/** 1 − Var(R − V) / Var(R): 1 is a perfect value head, 0 one that knows nothing. CleanRL's `explained_variance`. */
function explainedVariance(valued: readonly ValuedSample[]): number {
  const pairs = valued.flatMap(({ sample, inputs }) =>
    Array.from(sample.mask, (m, t) => ({
      m,
      target: inputs?.[RETURNS]?.[t] ?? 0,
      value: inputs?.[OLD_VALUES]?.[t] ?? 0,
    })).filter(({ m }) => m !== 0),
  );
  const variance = (values: readonly number[]): number => {
    const mean = values.reduce((sum, x) => sum + x, 0) / Math.max(1, values.length);
    return values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, values.length);
  };
  const total = variance(pairs.map(({ target }) => target));
  return total === 0 ? 0 : 1 - variance(pairs.map(({ target, value }) => target - value)) / total;
}

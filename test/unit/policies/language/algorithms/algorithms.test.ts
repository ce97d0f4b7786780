import { createAlgorithm } from '../../../../../src/policies/language/algorithms/create-algorithm';
import { LanguageTrainConfig } from '../../../../../src/schemas/language-train-config';
import type {
  Episode,
  EpisodeGroup,
} from '../../../../../src/policies/language/algorithms/samples';
import {
  batchOf,
  evaluateAlgorithm,
  farthest,
  GOLDENS,
  goldenGroups,
  SAMPLES,
} from './algorithm-goldens';

// Goldens of PyTorch, in float64: see make_algorithm_goldens.py.

describe.each(GOLDENS.cases)('$name', (golden) => {
  const algorithm = createAlgorithm(LanguageTrainConfig.parse(golden.config));
  const batch = batchOf(algorithm, goldenGroups(golden.perStep));

  test('loss and gradient are those of PyTorch', () => {
    const { loss, gradient, valueGradient, sums } = evaluateAlgorithm(algorithm, batch);
    // A loss over pairs is computed where they meet; what is differentiated touches it there.
    const pairs = batch.units?.length;
    const value = pairs === undefined ? loss : (sums['loss'] as number) / pairs;
    expect(value).toBeCloseTo(golden.loss, 9);
    expect(farthest(gradient, golden.gradient)).toBeLessThan(1e-9);
    if (golden.valueGradient !== undefined) {
      expect(farthest(valueGradient, golden.valueGradient)).toBeLessThan(1e-9);
    }
  });

  test('advantages are those of PyTorch', () => {
    if (golden.advantages === undefined) return;
    for (const { tokens, mask, inputs = {} } of batch.sequences) {
      const owner = SAMPLES.findIndex((sample) => sample.tokens === tokens);
      const compare = (got: ArrayLike<number>, expected: readonly number[]): void =>
        expected.forEach((value, t) => {
          if (mask[t] !== 0) expect(got[t]).toBeCloseTo(value, 9);
        });
      compare(inputs['advantages'] ?? [], golden.advantages[owner] ?? []);
      if (golden.returns !== undefined)
        compare(inputs['returns'] ?? [], golden.returns[owner] ?? []);
    }
  });

  test('in micro-batches, and in another order, it is the same', () => {
    const whole = evaluateAlgorithm(algorithm, batch);
    const units = batch.units ?? batch.sequences.map((_, i) => [i]);
    const parts = [...units].reverse().map((unit) => [...unit]);
    const split = evaluateAlgorithm(algorithm, batch, parts);
    expect(split.loss).toBeCloseTo(whole.loss, 12);
    expect(farthest(split.gradient, whole.gradient)).toBeLessThan(1e-12);
  });

  test('a group whose members are in another order gives the same', () => {
    const groups = goldenGroups(golden.perStep).map(({ task, episodes }) => ({
      task,
      episodes: [...episodes].reverse(),
    }));
    const got = evaluateAlgorithm(algorithm, batchOf(algorithm, [...groups].reverse()));
    expect(farthest(got.gradient, golden.gradient)).toBeLessThan(1e-9);
  });
});

const algorithmOf = (config: Record<string, unknown>) =>
  createAlgorithm(LanguageTrainConfig.parse(config));
const PLAIN = { algorithm: 'grpo', objective: { kl: 0 } };

test('the goldens tell their options apart', () => {
  const gradients = GOLDENS.cases.map(({ gradient, valueGradient }) =>
    JSON.stringify([gradient, valueGradient]),
  );
  expect(new Set(gradients).size).toBe(gradients.length);
});

describe('what is left out changes nothing for the rest, and is counted', () => {
  const expected = evaluateAlgorithm(
    algorithmOf(PLAIN),
    batchOf(algorithmOf(PLAIN), goldenGroups()),
  );
  const level: EpisodeGroup = {
    task: 'level',
    episodes: (goldenGroups()[0] as EpisodeGroup).episodes.map((e) => ({ ...e, reward: 0.5 })),
  };
  const single: EpisodeGroup = {
    task: 'single',
    episodes: (goldenGroups()[0] as EpisodeGroup).episodes.slice(0, 1),
  };
  const stale = (episode: Episode): Episode => ({ ...episode, age: 2 });
  const silent: Episode = { samples: [], reward: 0, stepRewards: null, age: 0 };
  const group = (g: number): EpisodeGroup => goldenGroups()[g] as EpisodeGroup;
  test.each<[string, EpisodeGroup[], Record<string, number>]>([
    ['a group whose rewards are all the same', [...goldenGroups(), level], { 'zero-variance': 3 }],
    ['a group of one', [...goldenGroups(), single], { 'group-of-one': 1 }],
    [
      'a group that is stale',
      [...goldenGroups(), { ...level, episodes: group(1).episodes.map(stale) }],
      { stale: 3 },
    ],
    [
      'an episode that is stale, among others',
      [
        { ...group(0), episodes: [...group(0).episodes, stale(group(1).episodes[0] as Episode)] },
        group(1),
      ],
      { stale: 1 },
    ],
    [
      'an agent that never called the model',
      [{ ...group(0), episodes: [...group(0).episodes, silent] }, group(1)],
      { 'no-samples': 1 },
    ],
  ])('%s', (_, groups, drops) => {
    const algorithm = algorithmOf(PLAIN);
    const batch = batchOf(algorithm, groups);
    expect(batch.drops).toEqual(drops);
    expect(farthest(evaluateAlgorithm(algorithm, batch).gradient, expected.gradient)).toBeLessThan(
      1e-12,
    );
  });

  test('rewards that differ by less than a judge’s rounding are the same', () => {
    const nearly = {
      ...level,
      episodes: level.episodes.map((e, i) => ({ ...e, reward: 0.5 + i * 4e-7 })),
    };
    expect(batchOf(algorithmOf(PLAIN), [nearly]).drops).toEqual({ 'zero-variance': 3 });
    const apart = {
      ...level,
      episodes: level.episodes.map((e, i) => ({ ...e, reward: 0.5 + i * 6e-7 })),
    };
    expect(batchOf(algorithmOf(PLAIN), [apart]).drops).toEqual({});
    expect(batchOf(algorithmOf({ ...PLAIN, zeroVariance: 'keep' }), [level]).drops).toEqual({});
  });

  test('an answer that was cut off counts for its group’s baseline, and is not learned from', () => {
    const cut = (episode: Episode, i: number): Episode =>
      i === 2
        ? { ...episode, samples: episode.samples.map((s) => ({ ...s, isTruncated: true })) }
        : episode;
    const algorithm = algorithmOf(PLAIN);
    const groups = goldenGroups(false, cut);
    const { sequences, drops } = algorithm.batch(groups, () => ({}), { baseline: null }).batch;
    expect(drops).toEqual({ truncated: 1 });
    expect(sequences).toHaveLength(5);
    expect(sequences[0]?.inputs?.['advantages']?.[2]).toBeCloseTo(0.5, 12); // 1 − (1 + 0 + 0.5)/3
    const kept = algorithmOf({ ...PLAIN, objective: { kl: 0, truncated: 'keep' } });
    expect(kept.batch(groups, () => ({}), { baseline: null }).batch.sequences).toHaveLength(6);
    const imitated = algorithmOf({ algorithm: 'sft' }).batch(groups, () => ({}), {
      baseline: null,
    }).batch;
    expect([imitated.sequences.length, imitated.drops]).toEqual([5, { truncated: 1 }]);
  });

  test('sequences that the trainer finds far off the sampler', () => {
    const algorithm = algorithmOf({
      ...PLAIN,
      objective: { kl: 0, correction: { sequenceRange: [0.7, 1.3] } },
    });
    const { drops, sequences } = batchOf(algorithm, goldenGroups());
    expect(drops['off-policy']).toBeGreaterThan(0);
    expect(sequences.length + (drops['off-policy'] ?? 0)).toBe(6);
  });
});

test('branches of one episode are samples of their own, with its advantage', () => {
  const algorithm = algorithmOf(PLAIN);
  const [first, second] = goldenGroups() as [EpisodeGroup, EpisodeGroup];
  const forked = (first.episodes[0] as Episode).samples[0];
  const groups = [
    {
      ...first,
      episodes: first.episodes.map((episode, i) =>
        i === 1 && forked !== undefined
          ? { ...episode, samples: [...episode.samples, forked] }
          : episode,
      ),
    },
    second,
  ];
  const { sequences } = batchOf(algorithm, groups);
  expect(sequences).toHaveLength(7);
  const of = (i: number): number => sequences[i]?.inputs?.['advantages']?.[2] as number;
  expect(of(2)).toBe(of(1)); // the fork's is that of the episode it is part of
  expect(of(2)).not.toBe(of(0)); // not of the one it was copied from
});

describe('reinforce', () => {
  test('its baseline runs from one iteration to the next', () => {
    const algorithm = algorithmOf({
      algorithm: 'reinforce',
      baseline: { decay: 0.75 },
      objective: { kl: 0 },
    });
    const groups = goldenGroups();
    const first = algorithm.batch(groups, () => ({}), { baseline: null });
    const mean = 2.75 / 6;
    expect(first.batch.metrics['baseline']).toBeCloseTo(mean, 12);
    expect(first.state.baseline).toBeCloseTo(mean, 12);
    const second = algorithm.batch(groups, () => ({}), { baseline: 0.1 });
    expect(second.state.baseline).toBeCloseTo(0.075 + 0.25 * mean, 12);
    expect(second.batch.sequences[0]?.inputs?.['advantages']?.[2]).toBeCloseTo(0.9, 12);
    expect(algorithm.batch([], () => ({}), { baseline: 0.1 }).state.baseline).toBe(0.1);
  });

  test('what a step earned counts for it and for what came before, not behind', () => {
    const algorithm = algorithmOf({ algorithm: 'reinforce', baseline: null, objective: { kl: 0 } });
    const { sequences } = batchOf(algorithm, goldenGroups(true));
    const [early = 0, late = 0] = GOLDENS.episodes[2]?.stepRewards ?? [];
    const advantages = sequences[2]?.inputs?.['advantages'];
    expect(advantages?.[2]).toBeCloseTo(early + late, 12);
    expect(advantages?.[6]).toBeCloseTo(late, 12);
  });
});

test('rejection sampling takes the best, of equals the shortest, and says of how many tasks it found one', () => {
  const algorithm = algorithmOf({ algorithm: 'rejection-sampling', minReward: 0.5 });
  const equal = goldenGroups(false, (episode) => ({ ...episode, reward: 0.5 }));
  const { sequences, metrics } = batchOf(algorithm, equal);
  // Of 3, 2 and 5 tokens the second; of 3, 1 and 4 the second again.
  expect(sequences.map(({ tokens }) => tokens)).toEqual([SAMPLES[1]?.tokens, SAMPLES[4]?.tokens]);
  expect(metrics['acceptedTasks']).toBe(1);
  const one = goldenGroups(false, (episode, i) => ({ ...episode, reward: i === 0 ? 1 : 0 }));
  expect(batchOf(algorithm, one).metrics['acceptedTasks']).toBe(0.5);
});

test('dpo makes no pair of equals, and as many of a task as it is told', () => {
  const algorithm = algorithmOf({ algorithm: 'dpo', pairsPerTask: 3 });
  expect(batchOf(algorithm, goldenGroups()).units).toEqual([
    [0, 1],
    [2, 3],
  ]);
  const level = goldenGroups(false, (episode) => ({ ...episode, reward: 1 }));
  expect(batchOf(algorithm, level)).toMatchObject({ sequences: [], drops: { 'zero-variance': 6 } });
});

test('a sample without the scores that its algorithm needs is a bug, and said', () => {
  const algorithm = algorithmOf({ algorithm: 'grpo' });
  expect([...algorithm.needs]).toEqual(['reference']);
  expect(() => algorithm.batch(goldenGroups(), () => ({}), { baseline: null })).toThrow(
    /reference scores/,
  );
});

describe('a configuration', () => {
  test.each([
    [{ algorithm: 'grpo', lambda: 0.9 }, /lambda/],
    [{ algorithm: 'sft', minibatches: 2 }, /minibatches/],
    [{ algorithm: 'rloo', advantage: 'std' }, /advantage/],
    [{ algorithm: 'dpo', objective: {} }, /objective/],
    [
      { algorithm: 'grpo', objective: { ratio: 'sequence', surrogate: { kind: 'cispo' } } },
      /clipped surrogate alone/,
    ],
    [{ algorithm: 'grpo', objective: { surrogate: { kind: 'clip', bound: 2 } } }, /bound/],
    [
      { algorithm: 'grpo', objective: { overlong: { maxTokens: 10, cacheTokens: 20 } } },
      /at most maxTokens/,
    ],
    [{ algorithm: 'genetic' }, /algorithm/],
  ])('%j is refused by name', (config, message) => {
    expect(() => LanguageTrainConfig.parse(config)).toThrow(message);
  });
});

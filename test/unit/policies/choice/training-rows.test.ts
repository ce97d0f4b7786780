import { InvalidInputError } from '../../../../src/errors';
import {
  decisionRows,
  demonstrationRows,
  replayRows,
} from '../../../../src/policies/choice/training-rows';
import type { ReplayEntry } from '../../../../src/rl/replay-buffer';
import { ChoiceConfig } from '../../../../src/schemas/choice-config';
import { TrainConfig, type ReplayTrainConfig } from '../../../../src/schemas/train-config';

const names = ['a', 'b', 'c'];
const config = ChoiceConfig.parse({
  arms: names.map((name) => ({ kind: 'tool', name, tool: name })),
});
const replayConfig = (rest: object = {}): ReplayTrainConfig =>
  TrainConfig.parse({ algorithm: 'replay', ...rest }) as ReplayTrainConfig;
const entry = (arms: [string, number, number][], iteration = 1): ReplayEntry => ({
  text: 'hello',
  available: names,
  iteration,
  arms: arms.map(([arm, count, reward]) => ({ arm, count, reward })),
});
const rowOf = (stored: ReplayEntry, train = replayConfig(), iteration = 1) =>
  replayRows(config, [stored], { iteration, train })[0];

describe('rows of stored feedback', () => {
  it('teach an arm that earned 1 by cross-entropy and nothing else', () => {
    expect(rowOf(entry([['b', 2, 2]]))).toMatchObject({
      right: [{ arm: 1, weight: 1 }],
      wrong: [],
      wrongScale: 0,
    });
  });

  it('teach that arms that earned 0 are wrong', () => {
    const row = rowOf(entry([['a', 1, 0], ['c', 3, 0]]), replayConfig({ wrongWeight: 0.5 })); // prettier-ignore
    expect(row).toMatchObject({
      right: [],
      wrong: [{ arm: 0, weight: 1 }, { arm: 2, weight: 1 }], // prettier-ignore
      wrongScale: 0.5,
    });
  });

  it('forget the wrong arms once a right one is known', () => {
    const row = rowOf(entry([['a', 1, 0], ['c', 1, 1]])); // prettier-ignore
    expect(row).toMatchObject({ right: [{ arm: 2, weight: 1 }], wrongScale: 0 });
  });

  it('weigh both terms by r and 1 - r for a reward between', () => {
    const row = rowOf(entry([['a', 4, 1]]));
    expect(row).toMatchObject({
      right: [{ arm: 0, weight: 0.25 }],
      wrong: [{ arm: 0, weight: 1 }],
      wrongScale: 0.75,
    });
  });

  it('share the cross-entropy among several right arms', () => {
    const row = rowOf(entry([['a', 1, 1], ['b', 1, 1]])); // prettier-ignore
    expect(row?.right.map(({ weight }) => weight)).toEqual([0.5, 0.5]);
  });

  it('count less with every iteration since their last feedback', () => {
    expect(rowOf(entry([['a', 1, 1]], 2), replayConfig({ decay: 0.5 }), 5)?.weight).toBe(0.125);
    expect(rowOf(entry([['a', 1, 1]], 5), replayConfig({ decay: 0.5 }), 5)?.weight).toBe(1);
  });

  it('refuse an arm that the policy does not have', () => {
    expect(() => rowOf({ ...entry([['z', 1, 1]]), available: [...names, 'z'] })).toThrow(
      InvalidInputError,
    );
  });
});

describe('rows of demonstrations', () => {
  it('name the arms that have none', () => {
    expect(() => demonstrationRows(config, [{ text: 'x', arm: 'b' }])).toThrow('got none of: a, c');
    expect(() => demonstrationRows(config, [])).toThrow(InvalidInputError);
  });

  it('refuse an unknown arm', () => {
    const known = names.map((arm) => ({ text: 'x', arm }));
    expect(() => demonstrationRows(config, [...known, { text: 'x', arm: 'z' }])).toThrow(/arm=z/);
  });
});

describe('rows of decisions', () => {
  it('carry the advantage over the baseline and the propensity', () => {
    const feedback = [1, 0, 0].map((reward) => ({
      text: 'x',
      available: ['c', 'b'],
      arm: 'b',
      propensity: 0.3,
      reward,
    }));
    const rows = decisionRows(config, feedback, { baseline: 'leave-one-out', weight: 2 });
    expect(rows[0]).toMatchObject({
      decision: { arm: 1, advantage: 1, propensity: 0.3 },
      weight: 2,
      right: [],
      wrong: [],
    });
    expect(rows[1]?.decision?.advantage).toBe(-0.5);
    expect([...(rows[0]?.available ?? [])]).toEqual([1, 2]);
  });
});

describe('the training configuration', () => {
  it('is told apart by its algorithm and refuses unknown fields', () => {
    expect(TrainConfig.parse({ algorithm: 'reinforce' })).toMatchObject({
      algorithm: 'reinforce',
      clip: 0.2,
    });
    expect(TrainConfig.safeParse({ algorithm: 'replay', learningrate: 1 }).success).toBe(false);
    expect(TrainConfig.safeParse({ algorithm: 'reinforce', wrongWeight: 1 }).success).toBe(false);
    expect(TrainConfig.safeParse({ algorithm: 'sarsa' }).success).toBe(false);
    expect(
      TrainConfig.safeParse({ algorithm: 'replay', policyGradient: { weight: 1, klip: 1 } })
        .success,
    ).toBe(false);
  });
});

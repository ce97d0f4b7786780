import { IntegrityError, InvalidInputError } from '../../../src/errors';
import type { Feedback } from '../../../src/policies/policy-kind';
import {
  decodeReplay,
  emptyReplay,
  encodeReplay,
  mergeFeedback,
} from '../../../src/rl/replay-buffer';

const all = ['a', 'b', 'c'];
const some = ['a', 'b'];
const feedback = (text: string, arm: string, reward: number, available = all): Feedback => ({
  text,
  available,
  arm,
  propensity: 0.5,
  reward,
});

describe('the replay buffer', () => {
  it('keeps one entry per text and set of available arms, with sums per arm and the last iteration', () => {
    const first = mergeFeedback(
      emptyReplay(),
      [feedback('x', 'a', 0), feedback('x', 'b', 1), feedback('x', 'a', 1, some)],
      1,
    );
    const second = mergeFeedback(first, [feedback('x', 'a', 0.5), feedback('y', 'c', 1)], 2);
    expect(second.entries).toEqual(
      [
        { text: 'x', available: some, iteration: 1, arms: [{ arm: 'a', count: 1, reward: 1 }] },
        {
          text: 'x',
          available: all,
          iteration: 2,
          arms: [
            { arm: 'a', count: 2, reward: 0.5 },
            { arm: 'b', count: 1, reward: 1 },
          ],
        },
        { text: 'y', available: all, iteration: 2, arms: [{ arm: 'c', count: 1, reward: 1 }] },
      ].sort((p, q) => (keyOf(p) < keyOf(q) ? -1 : 1)),
    );
  });

  it('does not change the buffer that it was given', () => {
    const before = mergeFeedback(emptyReplay(), [feedback('x', 'a', 0)], 1);
    const bytes = encodeReplay(before);
    mergeFeedback(before, [feedback('x', 'a', 1)], 2);
    expect(encodeReplay(before)).toEqual(bytes);
  });

  it('gives the same bytes for the same feedback in any order, with and without shared arrays', () => {
    const rewards = [0.1, 0.2, 0.3]; // 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1
    const items = Array.from({ length: 63 }, (_, i) =>
      feedback(`text ${i % 7}`, all[i % 3] as string, rewards[Math.floor(i / 21)] as number),
    );
    const reversed = [...items]
      .reverse()
      .map((item) => ({ ...item, available: [...item.available] }));
    const bytes = encodeReplay(mergeFeedback(emptyReplay(), items, 1));
    expect(encodeReplay(mergeFeedback(emptyReplay(), reversed, 1))).toEqual(bytes);
  });

  it('survives its own encoding, in JSON Lines', () => {
    const buffer = mergeFeedback(
      emptyReplay(),
      [feedback('line\nbreak "quoted" ü \ud800', 'a', 0.1), feedback('', 'b', 1, some)],
      3,
    );
    const bytes = encodeReplay(buffer);
    expect(decodeReplay(bytes)).toEqual(buffer);
    expect(Buffer.from(bytes).toString().trimEnd().split('\n')).toHaveLength(3);
    expect(decodeReplay(encodeReplay(emptyReplay()))).toEqual(emptyReplay());
  });

  it('refuses rewards, propensities and arms that cannot be', () => {
    const merge = (item: Feedback) => () => mergeFeedback(emptyReplay(), [item], 1);
    expect(merge(feedback('x', 'a', 1.5))).toThrow(InvalidInputError);
    expect(merge(feedback('x', 'a', NaN))).toThrow(InvalidInputError);
    expect(merge({ ...feedback('x', 'a', 1), propensity: 0 })).toThrow(InvalidInputError);
    expect(merge(feedback('x', 'c', 1, some))).toThrow(InvalidInputError);
  });

  it('names the line that cannot be read', () => {
    const text = Buffer.from(
      encodeReplay(mergeFeedback(emptyReplay(), [feedback('x', 'a', 1)], 1)),
    ).toString();
    const reading = (bytes: string) => () => decodeReplay(Buffer.from(bytes));
    expect(reading(text.replace('"count":1', '"count":-1'))).toThrow(/line=2/);
    expect(reading(text.replace('"offer":0', '"offer":9'))).toThrow(/line=2/);
    expect(reading(text.replace('"version":1', '"version":2'))).toThrow(/line=1/);
    expect(reading(text.slice(0, -5))).toThrow(IntegrityError);
    expect(reading('')).toThrow(IntegrityError);
  });
});

function keyOf({ text, available }: { text: string; available: readonly string[] }): string {
  return `${JSON.stringify(available)}\n${text}`;
}

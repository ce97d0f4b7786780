import {
  packSequences,
  roundLength,
  type MicroBatch,
  type TrainingSequence,
} from '../../../../../src/policies/language/training/pack';

/** A sequence of so many tokens, all of one kind, the last `trained` of which are trained on. */
function sequence(length: number, token: number, trained = length): TrainingSequence {
  return {
    tokens: Array.from({ length }, () => token),
    mask: Array.from({ length }, (_, t) => Number(t >= length - trained)),
  };
}

const segmentsOf = ({ segments }: MicroBatch): number[] => Array.from(segments, Number);

test('the longest sequence sets the length of its micro-batch, and short ones fill the gaps', () => {
  const [batch, ...more] = packSequences(
    [sequence(2, 1), sequence(20, 2), sequence(10, 3), sequence(30, 4)],
    { tokensPerMicroBatch: 64 },
  );
  expect(more).toEqual([]);
  expect([batch?.rows, batch?.length]).toEqual([2, 32]);
  const tokens = Array.from(batch?.tokens ?? [], Number);
  expect(tokens.slice(0, 32)).toEqual([...Array<number>(30).fill(4), 1, 1]);
  expect(tokens.slice(32)).toEqual([
    ...Array<number>(20).fill(2),
    ...Array<number>(10).fill(3),
    0,
    0,
  ]);
});

test('positions start anew with each sequence, segments tell them apart, and padding is segment 0', () => {
  const [batch] = packSequences([sequence(9, 1), sequence(5, 2)], { tokensPerMicroBatch: 16 });
  const positions = Array.from(batch?.positions ?? [], Number);
  expect(positions.slice(0, 14)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4]);
  expect(segmentsOf(batch as MicroBatch)).toEqual([
    ...Array<number>(9).fill(1),
    ...Array<number>(5).fill(2),
    0,
    0,
  ]);
});

test('a token is predicted from the one before it, and the first by none', () => {
  const [batch] = packSequences(
    [{ tokens: [7, 8, 9, 5], mask: [1, 1, 0, 1], inputs: { weights: [9, 2, 9, 3] } }],
    { tokensPerMicroBatch: 16 },
  );
  expect(batch?.trained).toBe(2);
  expect(Array.from(batch?.at.slice(0, 2) ?? [], Number)).toEqual([0, 2]);
  expect(Array.from(batch?.targetTokens.slice(0, 2) ?? [], Number)).toEqual([8, 5]);
  expect(Array.from(batch?.inputs['weights'] ?? [])).toEqual([2, 3, 0, 0, 0, 0, 0, 0]);
});

test('no sequence is lost, whatever the sizes', () => {
  const sequences = Array.from({ length: 60 }, (_, i) => sequence(2 + ((i * 37) % 90), i, 1));
  for (const tokensPerMicroBatch of [1, 50, 200, 10_000]) {
    for (const parts of [1, 3]) {
      const batches = packSequences(sequences, { tokensPerMicroBatch, parts });
      const targets = batches.flatMap(({ targetTokens, trained }) =>
        Array.from(targetTokens.slice(0, trained), Number),
      );
      expect(targets.sort((a, b) => a - b)).toEqual([...sequences.keys()]);
    }
  }
});

test('lengths are rounded to few sizes, and by at most a fourth above 64', () => {
  const sizes = new Set(Array.from({ length: 4095 }, (_, i) => roundLength(i + 2)));
  expect(sizes.size).toBeLessThan(32);
  for (let length = 65; length <= 4096; length++) {
    expect(roundLength(length)).toBeGreaterThanOrEqual(length);
    expect(roundLength(length) / length).toBeLessThan(1.25);
  }
});

const options = { tokensPerMicroBatch: 64, vocabSize: 10, maxLength: 8 };
test.each<[string, TrainingSequence, RegExp]>([
  ['of one token', { tokens: [1], mask: [1] }, /2 to 8 tokens.*got 1.*sequence=0/],
  ['longer than the model reaches', sequence(9, 1), /2 to 8 tokens.*got 9/],
  [
    'with a token that is not in the vocabulary',
    { tokens: [1, 10], mask: [1, 1] },
    /\[0, 10\), got 10 at 1/,
  ],
  ['with a token that is no token', { tokens: [1, 0.5], mask: [1, 1] }, /got 0.5 at 1/],
  [
    'with a mask of another length',
    { tokens: [1, 2], mask: [1] },
    /a mask as long as its 2 tokens, got 1/,
  ],
  [
    'with weights of another length',
    { tokens: [1, 2], mask: [1, 1], inputs: { weights: [1] } },
    /weights as long/,
  ],
])('a sequence %s is refused, and says which', (_, wrong, message) => {
  expect(() => packSequences([wrong], options)).toThrow(message);
});

test('a loss input that a sequence lacks is refused', () => {
  expect(() =>
    packSequences([sequence(3, 1)], { ...options, inputs: ['weights', 'advantages'] }),
  ).toThrow(/advantages as long as its 3 tokens, got none/);
});

import { fisherExact } from '../../../src/stats/fisher-exact';
import { signTest } from '../../../src/stats/sign-test';

describe('Fisher’s exact test', () => {
  test('of the lady tasting tea gives the published 0.4857', () => {
    expect(fisherExact([3, 4], [1, 4])).toBeCloseTo(0.4857, 4);
  });

  test('of Fisher’s convicted twins gives the published 0.0005367', () => {
    expect(fisherExact([10, 13], [2, 17])).toBeCloseTo(0.0005367, 7);
  });

  test('does not care which group comes first, and says 1 where nothing was hit', () => {
    expect(fisherExact([2, 17], [10, 13])).toBeCloseTo(fisherExact([10, 13], [2, 17]), 12);
    expect(fisherExact([0, 400], [0, 380])).toBeCloseTo(1, 12);
  });

  test('stays finite for tens of thousands of rollouts', () => {
    expect(fisherExact([2000, 40_000], [2000, 40_000])).toBeCloseTo(1, 6);
    expect(fisherExact([2300, 40_000], [2000, 40_000])).toBeLessThan(1e-4);
  });

  test('refuses more hits than trials', () => {
    expect(() => fisherExact([5, 4], [0, 4])).toThrow(/Fisher test: expected/);
  });
});

describe('sign test', () => {
  test('of 9 against 1 is 11/1024, and twice that two-sided', () => {
    expect(signTest(9, 1).oneSided).toBeCloseTo(11 / 1024, 12);
    expect(signTest(9, 1).twoSided).toBeCloseTo(22 / 1024, 12);
  });

  test('of no change at all says nothing', () => {
    expect(signTest(0, 0)).toEqual({ oneSided: 1, twoSided: 1 });
  });

  test('agrees with a sum over all outcomes of five changes', () => {
    for (let better = 0; better <= 5; better++) {
      let atLeast = 0;
      for (let outcome = 0; outcome < 32; outcome++) {
        const ups = [0, 1, 2, 3, 4].filter((bit) => outcome & (1 << bit)).length;
        if (ups >= better) atLeast++;
      }
      expect(signTest(better, 5 - better).oneSided).toBeCloseTo(atLeast / 32, 12);
    }
  });

  test('refuses negative counts', () => {
    expect(() => signTest(-1, 2)).toThrow(/sign test: expected/);
  });
});

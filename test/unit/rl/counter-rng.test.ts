import {
  categorical,
  fnv1a64,
  philox4x32,
  shuffle,
  stream,
  uniform,
} from '../../../src/rl/counter-rng';

const hex = (words: readonly number[]): string =>
  words.map((word) => word.toString(16).padStart(8, '0')).join(' ');
const base = { seed: 7, purpose: 'test' };
// Computed from the key schedule's definition by a second implementation, in Python.
const GOLDEN = [0.7880567720450804, 0.9766330346322277, 784];

describe('Philox4x32-10', () => {
  // tests/kat_vectors of the Random123 distribution (D. E. Shaw Research).
  const ones = 0xffffffff;
  test.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[ones, ones, ones, ones], [ones, ones], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    ],
  ] as const)('gives the published answer for counter %p and key %p', (counter, key, expected) => {
    expect(hex(philox4x32(counter, key))).toBe(expected);
  });
});

describe('the hash that folds strings into keys', () => {
  // Published vectors of FNV-1a 64 (Fowler, Noll, Vo).
  test.each([
    ['', 'cbf29ce4 84222325'],
    ['a', 'af63dc4c 8601ec8c'],
    ['foobar', '85944171 f73967e8'],
  ])('of %p is the published one', (text, expected) => {
    expect(hex(fnv1a64(text))).toBe(expected);
  });

  test('agrees with the definition over the bytes that TextEncoder gives', () => {
    for (const text of ['é', '日本', '🎈 party', 'lone \ud800 surrogate', 'x'.repeat(300)]) {
      let hash = 0xcbf29ce484222325n;
      for (const byte of new TextEncoder().encode(text)) {
        hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
      }
      expect(hex(fnv1a64(text)).replace(' ', '')).toBe(hash.toString(16).padStart(16, '0'));
    }
  });
});

describe('streams', () => {
  test('the numbers of a key never change: stored decisions are replayed from them', () => {
    const random = stream({ ...base, iteration: 3, task: 'task-9', member: 2, turn: 1 });
    expect([random.next(), random.next(), random.below(1000)]).toEqual(GOLDEN);
  });

  test('every part of the key matters, and parts do not run into each other', () => {
    const keys = [
      base,
      { ...base, seed: 8 },
      { ...base, seed: 7 + 2 ** 32 },
      { ...base, purpose: 'tes' },
      { ...base, purpose: 'tes', task: 't' },
      { ...base, task: 'a' },
      { ...base, iteration: 1 },
      { ...base, member: 1 },
      { ...base, turn: 1 },
    ];
    expect(new Set(keys.map(uniform)).size).toBe(keys.length);
  });

  test('uniform is the first number of the stream, and two streams of a key are equal', () => {
    const [a, b] = [stream(base), stream(base)];
    expect(a.next()).toBe(uniform(base));
    b.next();
    expect(Array.from({ length: 50 }, () => a.next())).toEqual(
      Array.from({ length: 50 }, () => b.next()),
    );
  });

  test('numbers lie in [0, 1), with the mean, variance and lag-1 correlation of uniform ones', () => {
    const n = 100_000;
    const random = stream(base);
    const values = Float64Array.from({ length: n }, () => random.next());
    let sum = 0;
    let squares = 0;
    let products = 0;
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
    values.forEach((value, i) => {
      sum += value - 0.5;
      squares += (value - 0.5) ** 2;
      products += (value - 0.5) * ((values[i - 1] ?? 0.5) - 0.5);
    });
    expect(Math.abs(sum / n)).toBeLessThan(4 * Math.sqrt(1 / 12 / n));
    expect(Math.abs(squares / n - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / n));
    expect(Math.abs(products / n)).toBeLessThan((4 * (1 / 12)) / Math.sqrt(n));
  });

  test('one number per key is as uniform as many numbers of one key', () => {
    const bins = new Float64Array(20);
    for (let i = 0; i < 20_000; i++) {
      const bin = Math.floor(20 * uniform({ ...base, task: `task-${i}` }));
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
    const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(43.8); // 99.9 % of chi-square with 19 degrees of freedom
  });

  test('integers below n are unbiased, also where 2^32 is no multiple of n', () => {
    const random = stream(base);
    const n = 3 * 2 ** 30; // 4 words for 3 results: without rejection, every third result would come up half of the time
    const counts = [0, 0, 0];
    for (let i = 0; i < 20_000; i++) {
      const residue = random.below(n) % 3;
      counts[residue] = (counts[residue] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count / 20_000 - 1 / 3)).toBeLessThan(0.014);
    expect(random.below(1)).toBe(0);
  });

  test('a key or range that is no such integer is refused by name', () => {
    expect(() => stream({ ...base, seed: -1 })).toThrow(/seed/);
    expect(() => stream({ ...base, turn: 1.5 })).toThrow(/turn/);
    expect(() => stream({ ...base, member: 2 ** 32 })).toThrow(/member/);
    expect(() => stream(base).below(0)).toThrow(/\[1, 2\^32\]/);
  });
});

describe('shuffle', () => {
  test('gives a permutation and leaves its input alone', () => {
    const items = Array.from({ length: 100 }, (_, i) => i);
    const shuffled = shuffle(items, stream(base));
    expect(shuffled).not.toEqual(items);
    expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
    expect(items[0]).toBe(0);
    expect(shuffle([], stream(base))).toEqual([]);
  });

  test('all six orders of three items are equally frequent', () => {
    const counts = new Map<string, number>();
    const random = stream(base);
    for (let i = 0; i < 12_000; i++) {
      const order = shuffle(['a', 'b', 'c'], random).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    const chiSquare = [...counts.values()].reduce((s, c) => s + (c - 2000) ** 2 / 2000, 0);
    expect(counts.size).toBe(6);
    expect(chiSquare).toBeLessThan(20.5); // 99.9 % with 5 degrees of freedom
  });
});

describe('categorical', () => {
  test('cuts [0, 1) into pieces in order', () => {
    const p = Float64Array.of(0.25, 0.5, 0.25);
    expect([0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2 ** -53].map((u) => categorical(p, u))).toEqual([
      0, 0, 1, 1, 2, 2,
    ]);
  });

  test('never draws a probability of 0, at either end', () => {
    const p = Float64Array.of(0, 1 - 1e-9, 0);
    expect([0, 0.5, 1 - 2 ** -53].map((u) => categorical(p, u))).toEqual([1, 1, 1]);
  });

  test('refuses what is no distribution', () => {
    expect(() => categorical(new Float64Array(0), 0.5)).toThrow(/at least one/);
    expect(() => categorical(Float64Array.of(0.5, 0.4), 0.5)).toThrow(/sum to 1/);
    expect(() => categorical(Float64Array.of(1.5, -0.5), 0.5)).toThrow(/>= 0/);
    expect(() => categorical(Float64Array.of(Number.NaN, 1), 0.5)).toThrow(/>= 0/);
    expect(() => categorical(Float64Array.of(1), 1)).toThrow(/\[0, 1\)/);
  });
});

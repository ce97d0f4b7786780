import { featurize, fnv1a, type FeatureConfig } from '../../../../src/policies/choice/features';

const config: FeatureConfig = { buckets: 1 << 15, wordNgrams: [1, 2], charNgrams: [3, 4] };

describe('featurize', () => {
  it('hashes by 32-bit FNV-1a, as its authors publish it', () => {
    const hash = (text: string): number => fnv1a(0x811c9dc5, Buffer.from(text)) >>> 0;
    expect(hash('')).toBe(0x811c9dc5);
    expect(hash('a')).toBe(0xe40c292c);
    expect(hash('foobar')).toBe(0xbf9cf968);
  });

  it('gives these rows and weights for this text in format version 1', () => {
    const { rows, weights, words } = featurize("What's my Balance?", config);
    expect(words).toBe(3);
    expect(rows).toHaveLength(32);
    expect([...rows.slice(0, 5)]).toEqual(GOLDEN_ROWS);
    expect([...weights].every((weight) => weight === Math.fround(1 / Math.sqrt(32)))).toBe(true);
  });

  it('counts what occurs twice, and its weights have Euclidean norm 1', () => {
    const { weights } = featurize('to be or not to be', config);
    const smallest = Math.min(...weights);
    expect(Math.max(...weights) / smallest).toBeCloseTo(2, 6);
    expect(weights.reduce((sum, weight) => sum + weight ** 2, 0)).toBeCloseTo(1, 6);
  });

  it('ignores case, punctuation and the way accents are encoded', () => {
    expect(featurize('Café, s’il vous plaît!', config)).toEqual(
      featurize('CAFE\u0301 s il vous plai\u0302t', config),
    );
  });

  it('reads words of any script, by code points', () => {
    const { words, rows } = featurize('вклад 口座 𠀀𠀁', {
      ...config,
      wordNgrams: [1],
      charNgrams: [4],
    });
    expect(words).toBe(3);
    expect(rows).toHaveLength(3 + 4 + 1 + 1); // <вклад> has 4 four-grams, <口座> and <𠀀𠀁> have one each
  });

  it('keeps words, bigrams and character n-grams apart', () => {
    const rowsOf = (part: Partial<FeatureConfig>): number[] => [
      ...featurize('ab', { ...config, wordNgrams: [], charNgrams: [], ...part }).rows,
    ];
    expect(rowsOf({ wordNgrams: [1] })).not.toEqual(rowsOf({ charNgrams: [4] })); // ab and <ab>
    expect(rowsOf({ wordNgrams: [2] })).toEqual([]);
  });

  it('gives no features for a text without words', () => {
    expect(featurize('?! …', config)).toEqual({
      rows: new Int32Array(0),
      weights: new Float32Array(0),
      words: 0,
    });
  });

  it('reads at most 4,096 units of a text', () => {
    const long = 'word '.repeat(2000);
    expect(featurize(long, config)).toEqual(featurize(long.slice(0, 4096), config));
    expect(featurize(long, config).words).toBe(820);
  });

  it('takes the words of the context as they are, where it is asked to', () => {
    const own = featurize('hello there', config);
    const withContext = 'hello there\u001fturn:1\u001ftool:refund';
    const { rows, words } = featurize(withContext, { ...config, context: true });
    expect(words).toBe(2);
    expect(rows).toHaveLength(own.rows.length + 2);
    expect(featurize('hello there', { ...config, context: true })).toEqual(own);
    // Without it the mark is a character like any other: checkpoints of before read as they did.
    expect(featurize(withContext, config).words).toBeGreaterThan(2);
  });

  it('stays within the table, in ascending order without repetition', () => {
    const { rows } = featurize('the quick brown fox jumps over the lazy dog', {
      ...config,
      buckets: 256,
    });
    expect(
      rows.every((row, i) => row >= 0 && row < 256 && (i === 0 || row > (rows[i - 1] as number))),
    ).toBe(true);
  });
});

const GOLDEN_ROWS = [830, 3731, 3923, 4778, 6133]; // by an independent implementation in Python

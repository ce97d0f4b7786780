import { percent, points, rate, sparkline, table } from '../../../src/loop/markdown';

describe('a table', () => {
  it('has a head, a rule and a line per row', () => {
    expect(table(['a', 'b'], [['1', '2']])).toBe(
      '| a\u00a0 | b\u00a0 |\n| --- | --- |\n| 1\u00a0 | 2\u00a0 |',
    );
  });

  it('is not broken by a pipe or a line break in a cell', () => {
    const text = table(['a', 'b'], [['x | y', 'one\r\n  two\nthree']]);
    expect(text.replaceAll('\u00a0', '').split('\n')).toEqual([
      '| a | b |',
      '| --- | --- |',
      '| x \\| y | one two three |',
    ]);
  });
});

describe('numbers for people', () => {
  it('are percentages, points with a sign, and rates with an interval', () => {
    expect(percent(0.8237)).toBe('82.4 %');
    expect([points(0.123), points(-0.02), points(0)]).toEqual(['+12.3', '−2.0', '+0.0']);
    expect(rate({ value: 0.824, low: 0.811, high: 0.836 })).toBe('82.4 % (81.1–83.6)');
    expect(rate(null)).toBe('–');
  });
});

describe('a sparkline', () => {
  it('goes from the lowest to the highest block', () => {
    expect(sparkline([0.1, 0.2, 0.8])).toBe('▁▂█');
    expect(sparkline([0.5, 0.5])).toBe('▁▁');
  });
});

import { learningCurveSvg, type CurveRow } from '../../../workers/demo/learning-curve-svg';

const estimate = (value: number): CurveRow['live'] => ({
  ...{ value, low: value - 0.02, high: value + 0.02, n: 4500 },
});
const rows: CurveRow[] = [0, 1, 2, 3, 4].map((iteration) => ({
  iteration,
  live: iteration === 0 ? null : estimate(0.6 + 0.05 * iteration),
  heldOut: estimate(0.68 + 0.05 * iteration),
}));

/**
 * The names of the elements, if the text is well-formed: one root, tags that close in order, quoted attributes, no bare `<` or `&`.
 * Not checked: declarations and comments, which a picture does not need.
 */
function elementsOf(xml: string): string[] {
  const names: string[] = [];
  const open: string[] = [];
  const entity = '&(?:amp|lt|gt|quot|apos|#\\d+);';
  const text = new RegExp(`(?:[^<&]|${entity})*`, 'y');
  const tag = new RegExp(`<(/?)([a-z]+)((?:\\s+[\\w:-]+="(?:[^<&"]|${entity})*")*)\\s*(/?)>`, 'iy');
  for (let at = 0; at < xml.length;) {
    text.lastIndex = at;
    const between = text.exec(xml)?.[0] ?? '';
    at += between.length;
    if (open.length === 0 && between.trim() !== '') throw new Error(`text outside at ${at}`);
    if (at === xml.length) break;
    tag.lastIndex = at;
    const match = tag.exec(xml);
    if (match === null) throw new Error(`not well-formed: ${xml.slice(at, at + 60)}`);
    const [whole, closing, name = '', , selfClosing] = match;
    if (closing === '/') {
      if (open.pop() !== name) throw new Error(`closes what is not open: ${name}`);
    } else {
      if (open.length === 0 && names.length > 0) throw new Error('a second root');
      names.push(name);
      if (selfClosing === '') open.push(name);
    }
    at += whole.length;
  }
  if (open.length > 0) throw new Error(`never closed: ${open.join()}`);
  return names;
}

describe('the picture of a learning curve', () => {
  it('is well-formed', () => {
    const names = elementsOf(learningCurveSvg('Support desk', rows));
    expect(names[0]).toBe('svg');
    expect(names.filter((name) => name === 'circle')).toHaveLength(4 + 5);
    expect(names.filter((name) => name === 'polygon')).toHaveLength(2);
  });

  it.each(['<script>alert(1)</script>', 'R&D', '"quoted" & <b>', ']]>', '&amp;'])(
    'shows the title %j as text',
    (title) => {
      const svg = learningCurveSvg(title, rows);
      const names = elementsOf(svg);
      expect(names).not.toContain('script');
      expect(names).not.toContain('b');
      const shown = /font-size="16">([^<]*)</.exec(svg)?.[1] ?? '';
      const decoded = shown
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&amp;', '&');
      expect(decoded).toBe(title);
    },
  );

  it('names both series with their last value', () => {
    const svg = learningCurveSvg('Support desk', rows);
    expect(svg).toContain('>live 80.0 %<');
    expect(svg).toContain('>held out 88.0 %<');
  });

  const numbersOf = (svg: string, attribute: string): number[] =>
    [...svg.matchAll(new RegExp(` ${attribute}="([^"]*)"`, 'g'))].map(([, value]) => Number(value));

  it.each<[string, CurveRow[]]>([
    ['as usual', rows],
    ['with no rows', []],
    ['with one row', rows.slice(0, 1)],
    ['with nothing measured', [{ iteration: 0, live: null, heldOut: null }]],
    [
      'from 0 to 1',
      [
        { iteration: 0, live: null, heldOut: { value: 0, low: 0, high: 0.1, n: 30 } },
        { iteration: 1, live: null, heldOut: { value: 1, low: 0.9, high: 1, n: 30 } },
      ],
    ],
    [
      'of 300 iterations',
      Array.from({ length: 300 }, (_, i) => ({ ...rows[1], iteration: i }) as CurveRow),
    ],
  ])('keeps every point inside, %s', (_, some) => {
    const svg = learningCurveSvg('Support desk', some);
    elementsOf(svg);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    for (const cx of numbersOf(svg, 'cx')) expect(cx).toBeGreaterThanOrEqual(64);
    for (const cx of numbersOf(svg, 'cx')) expect(cx).toBeLessThanOrEqual(760 - 170);
    for (const cy of numbersOf(svg, 'cy')) expect(cy).toBeGreaterThanOrEqual(48);
    for (const cy of numbersOf(svg, 'cy')) expect(cy).toBeLessThanOrEqual(420 - 52);
  });

  it('draws a higher rate higher', () => {
    const ys = numbersOf(
      learningCurveSvg(
        '',
        rows.map((row) => ({ ...row, live: null })),
      ),
      'cy',
    );
    expect(ys).toEqual([...ys].sort((a, b) => b - a));
    expect(new Set(ys).size).toBe(5);
  });
});

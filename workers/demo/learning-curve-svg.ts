import type { Estimate } from '../../src/schemas/estimate';

export interface CurveRow {
  /** Iterations finished; 0 is the policy before any. */
  readonly iteration: number;
  readonly live: Estimate | null;
  readonly heldOut: Estimate | null;
}

const WIDTH = 760;
const HEIGHT = 420;
const MARGIN = { left: 64, right: 170, top: 48, bottom: 52 };
const COLORS = { live: '#c2410c', heldOut: '#1d4ed8', grid: '#e5e7eb', text: '#374151' };

/** The learning curve as a picture: shares with their 95 % intervals over iterations. */
export function learningCurveSvg(title: string, rows: readonly CurveRow[]): string {
  const estimates = rows
    .flatMap(({ live, heldOut }) => [live, heldOut])
    .filter((one) => one !== null);
  const bottom = Math.max(
    0,
    Math.floor(10 * Math.min(...estimates.map(({ low }) => low), 0.5)) / 10,
  );
  const last = Math.max(1, ...rows.map(({ iteration }) => iteration));
  const x = (iteration: number): number =>
    MARGIN.left + ((WIDTH - MARGIN.left - MARGIN.right) * iteration) / last;
  const y = (share: number): number =>
    HEIGHT -
    MARGIN.bottom -
    ((HEIGHT - MARGIN.top - MARGIN.bottom) * (share - bottom)) / (1 - bottom);
  const at = (value: number): string => value.toFixed(1);

  const grid = ticks(bottom).map(
    (share) =>
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at(y(share))}" y2="${at(y(share))}" stroke="${COLORS.grid}"/>` +
      `<text x="${MARGIN.left - 8}" y="${at(y(share) + 4)}" text-anchor="end">${Math.round(100 * share)} %</text>`,
  );
  const every = Math.ceil(last / 12);
  const axis = Array.from({ length: last + 1 }, (_, iteration) => iteration)
    .filter((iteration) => iteration % every === 0)
    .map(
      (iteration) =>
        `<text x="${at(x(iteration))}" y="${HEIGHT - MARGIN.bottom + 20}" text-anchor="middle">${iteration}</text>`,
    );
  const series = (
    name: string,
    color: string,
    pick: (row: CurveRow) => Estimate | null,
  ): string => {
    const points = rows.flatMap((row) => {
      const estimate = pick(row);
      return estimate === null ? [] : [{ iteration: row.iteration, estimate }];
    });
    const end = points.at(-1);
    if (end === undefined) return '';
    const band = [
      ...points.map(({ iteration, estimate }) => `${at(x(iteration))},${at(y(estimate.high))}`),
      ...points
        .toReversed()
        .map(({ iteration, estimate }) => `${at(x(iteration))},${at(y(estimate.low))}`),
    ].join(' ');
    const line = points
      .map(({ iteration, estimate }) => `${at(x(iteration))},${at(y(estimate.value))}`)
      .join(' ');
    const dots = points
      .map(
        ({ iteration, estimate }) =>
          `<circle cx="${at(x(iteration))}" cy="${at(y(estimate.value))}" r="3" fill="${color}"><title>${name}, iteration ${iteration}: ${(100 * estimate.value).toFixed(1)} % (${(100 * estimate.low).toFixed(1)}–${(100 * estimate.high).toFixed(1)}), n=${estimate.n}</title></circle>`,
      )
      .join('');
    return (
      `<polygon points="${band}" fill="${color}" opacity="0.15"/>` +
      `<polyline points="${line}" fill="none" stroke="${color}" stroke-width="2"/>${dots}` +
      `<text x="${at(x(end.iteration) + 10)}" y="${at(y(end.estimate.value) + 4)}" fill="${color}">${name} ${(100 * end.estimate.value).toFixed(1)} %</text>`
    );
  };
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="${COLORS.text}">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="28" font-size="16">${escapeXml(title)}</text>`,
    ...grid,
    ...axis,
    `<text x="${at((MARGIN.left + WIDTH - MARGIN.right) / 2)}" y="${HEIGHT - 10}" text-anchor="middle">iterations</text>`,
    series('live', COLORS.live, ({ live }) => live),
    series('held out', COLORS.heldOut, ({ heldOut }) => heldOut),
    '</svg>\n',
  ].join('\n');
}

function ticks(bottom: number): number[] {
  const from = Math.round(bottom * 10);
  return Array.from({ length: 11 - from }, (_, index) => (from + index) / 10);
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

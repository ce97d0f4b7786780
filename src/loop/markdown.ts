/** The Temporal UI draws cells without padding: a space that does not collapse keeps the columns apart. */
const GAP = '\u00a0';

/** A Markdown table in one string: what the Temporal UI renders in "current details". Line breaks in a cell become spaces. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(toCell).join(' | ')} |`;
  return [line(head), `| ${head.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n');
}

const toCell = (text: string): string =>
  text.replaceAll('|', '\\|').replace(/\s*[\r\n]+\s*/g, ' ') + GAP;

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A difference of two shares in points, with its sign. */
export const points = (difference: number): string =>
  `${difference >= 0 ? '+' : '−'}${Math.abs(100 * difference).toFixed(1)}`;

/** `82.4 % (81.1–83.6)` */
export function rate(
  estimate: { readonly value: number; readonly low: number; readonly high: number } | null,
): string {
  if (estimate === null) return '–';
  const { value, low, high } = estimate;
  return `${percent(value)} (${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)})`;
}

const BLOCKS = '▁▂▃▄▅▆▇█';

/** A row of blocks, lowest to highest value. */
export function sparkline(values: readonly number[]): string {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return values
    .map(
      (value) =>
        BLOCKS[high === low ? 0 : Math.round(((value - low) / (high - low)) * (BLOCKS.length - 1))],
    )
    .join('');
}

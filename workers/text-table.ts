/** Rows in columns that line up, for a terminal: numbers to the right, text to the left. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))));
  const isNumber = head.map(
    (_, column) => rows.length > 0 && rows.every((row) => /^[\d–-]/.test(row[column] ?? '')),
  );
  return all
    .map((row) =>
      widths
        .map((of, column) => {
          const cell = row[column] ?? '';
          const space = ' '.repeat(of - width(cell));
          return isNumber[column] === true ? space + cell : cell + space;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const width = (text: string): number => Array.from(text).length;

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** `49.3 MB` */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

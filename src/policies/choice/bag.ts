import type { Features } from './features';

/**
 * The texts of one batch against the distinct rows of the embedding table that they use: bag · rows = Σ weight · row. Only
 * those rows, with their optimizer moments, enter a training graph, so that a step costs what its batch uses and not what
 * the table holds.
 */
export interface Bag {
  /** Distinct rows, in the order of their first use; int32 [used]. */
  readonly rows: Int32Array;
  /** `rows.length` rounded up to a size for which there is a graph. */
  readonly size: number;
  /** float32 [batch, size]; the columns from `rows.length` on are 0. */
  readonly weights: Float32Array;
}

/**
 * The sizes for which graphs are built: multiples of 512 up to 8,192, then of 4,096. Few columns are empty, since every one
 * costs as much as a full one, and the batches of a job meet in three or four sizes. A size depends on the batch alone, so
 * that a resumed run takes the same graphs.
 *
 * @param buckets rows of the whole table: no batch can use more.
 */
export function bagSize(used: number, buckets: number): number {
  const unit = used <= 8192 ? 512 : 4096;
  return Math.min(Math.max(1, Math.ceil(used / unit)) * unit, buckets);
}

/**
 * @param batch rows of the matrix; at least as many as there are texts, the rest stays 0.
 * @param keep scale of feature `index` of text `row`, 0 where it is dropped.
 */
export function buildBag(
  texts: readonly Features[],
  { batch, buckets, keep }: { batch: number; buckets: number; keep: () => number },
): Bag {
  const columns = new Map<number, number>();
  const entries: { row: number; column: number; weight: number }[] = [];
  for (const [row, text] of texts.entries()) {
    for (const [index, tableRow] of text.rows.entries()) {
      const scale = keep(); // drawn for every feature: what one text draws must not depend on another's luck
      if (scale === 0) continue;
      let column = columns.get(tableRow);
      if (column === undefined) columns.set(tableRow, (column = columns.size));
      entries.push({ row, column, weight: scale * (text.weights[index] as number) });
    }
  }
  const size = bagSize(columns.size, buckets);
  const weights = new Float32Array(batch * size);
  for (const { row, column, weight } of entries) weights[row * size + column] = weight;
  return { rows: Int32Array.from(columns.keys()), size, weights };
}

/**
 * Copies the rows named by `rows` from a table [*, width] to the front of `out`; the rest of it is set to 0.
 */
export function gatherRows(
  table: Float32Array,
  rows: Int32Array,
  width: number,
  out: Float32Array,
): void {
  for (const [i, row] of rows.entries()) {
    out.set(table.subarray(row * width, (row + 1) * width), i * width);
  }
  out.fill(0, rows.length * width);
}

/** Writes the first `rows.length` rows of `values` back to where `gatherRows` took them from. */
export function scatterRows(
  table: Float32Array,
  rows: Int32Array,
  width: number,
  values: Float32Array,
): void {
  for (const [i, row] of rows.entries()) {
    table.set(values.subarray(i * width, (i + 1) * width), row * width);
  }
}

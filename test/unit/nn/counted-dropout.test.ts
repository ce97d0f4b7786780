/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../../src/adapters/ort/in-thread-runtime';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { countedDropout, DROPOUT_MODULUS } from '../../../src/nn/counted-dropout';
import { emitModel } from '../../../src/onnx/emit';
import { stream } from '../../../src/rl/counter-rng';

const runtime = createInThreadRuntime({ threads: 1 });
afterAll(() => runtime.close());
const [ROWS, COLUMNS] = [400, 256];

/** What is left of ones: 0, or 1 / (1 − rate). */
async function maskOf({ rate = 0.3, layer = 'q', seed = 1 } = {}): Promise<Float32Array> {
  const b = new GraphBuilder();
  const x = b.input('x', [ROWS, COLUMNS]);
  const rowKeys = b.input('keys', [ROWS, 1], 'int64');
  const session = await runtime.load(
    emitModel(b.build({ y: countedDropout(b, x, { rowKeys, layer, rate }) })),
  );
  const random = stream({ seed, purpose: 'test.dropout' });
  const keys = BigInt64Array.from({ length: ROWS }, () => BigInt(random.below(DROPOUT_MODULUS)));
  const { y } = await session.run({
    x: { dtype: 'float32', shape: [ROWS, COLUMNS], data: new Float32Array(ROWS * COLUMNS).fill(1) },
    keys: { dtype: 'int64', shape: [ROWS, 1], data: keys },
  });
  await session.release();
  return y?.data as Float32Array;
}

const isKept = (mask: Float32Array): number[] => Array.from(mask, (value) => Number(value > 0));
const mean = (values: readonly number[]): number =>
  values.reduce((a, b) => a + b, 0) / values.length;

test('what stays is scaled so that the mean stays, and the rate is what is left out', async () => {
  const mask = await maskOf();
  expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
  const kept = mean(isKept(mask));
  expect(Math.abs(kept - 0.7)).toBeLessThan(4 * Math.sqrt(0.21 / mask.length));
});

test('rows and columns are left out independently of each other', async () => {
  const kept = isKept(await maskOf({ rate: 0.5 }));
  const at = (row: number, column: number): number => kept[row * COLUMNS + column] as number;
  // Pairs of neighbours in a row, in a column and across: each agrees half of the time.
  for (const [dr, dc] of [
    [0, 1],
    [1, 0],
    [1, 1],
    [7, 13],
  ] as const) {
    const agree: number[] = [];
    for (let row = 0; row + dr < ROWS; row++) {
      for (let column = 0; column + dc < COLUMNS; column++) {
        agree.push(Number(at(row, column) === at(row + dr, column + dc)));
      }
    }
    expect(Math.abs(mean(agree) - 0.5)).toBeLessThan(4 * Math.sqrt(0.25 / agree.length));
  }
  // No row and no column is favoured: the spread of their shares is that of coins.
  const rows = Array.from({ length: ROWS }, (_, row) =>
    mean(Array.from({ length: COLUMNS }, (_, column) => at(row, column))),
  );
  const spread = mean(rows.map((share) => (share - 0.5) ** 2)) / (0.25 / COLUMNS);
  expect(spread).toBeGreaterThan(0.75);
  expect(spread).toBeLessThan(1.25);
});

test('the same keys leave out the same, other keys and other layers something else', async () => {
  const first = isKept(await maskOf());
  expect(isKept(await maskOf())).toEqual(first);
  for (const other of [await maskOf({ seed: 2 }), await maskOf({ layer: 'k' })]) {
    const agree = mean(isKept(other).map((kept, i) => Number(kept === first[i])));
    expect(Math.abs(agree - (0.7 * 0.7 + 0.3 * 0.3))).toBeLessThan(0.01);
  }
});

import { bagSize, buildBag, gatherRows, scatterRows } from '../../../../src/policies/choice/bag';
import { assembleBatch, planBatches } from '../../../../src/policies/choice/training-batch';
import type { TrainingRow } from '../../../../src/policies/choice/training-rows';

const row = (rest: Partial<TrainingRow> = {}): TrainingRow => ({
  text: { rows: Int32Array.of(3, 5), weights: Float32Array.of(0.6, 0.8), words: 1 },
  available: Int32Array.of(0, 2),
  right: [],
  wrong: [],
  wrongScale: 0,
  decision: null,
  weight: 1,
  ...rest,
});
const options = {
  buckets: 1024,
  hidden: 64,
  arms: 3,
  dropout: 0.5,
  featureDropout: 0,
  seed: 1,
  iteration: 2,
};

describe('the plan of batches', () => {
  const plan = (count: number, rest: object = {}) =>
    planBatches(Array.from({ length: count }, () => row()), { batch: 4, epochs: 1, maxExamples: null, seed: 1, iteration: 1, ...rest }); // prettier-ignore

  it('sees every row once per pass, each pass in another order', () => {
    const { order, steps } = plan(10, { epochs: 2 });
    expect(steps).toBe(5);
    const passes = [order.slice(0, 10), order.slice(10)];
    for (const pass of passes)
      expect([...pass].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(passes[0]).not.toEqual(passes[1]);
  });

  it('takes part of a pass for a fraction, and no more than the maximum', () => {
    expect(plan(10, { epochs: 1.5 }).order).toHaveLength(15);
    expect(plan(10, { epochs: 3, maxExamples: 12 }).order).toHaveLength(12);
    expect(plan(0)).toMatchObject({ steps: 0 });
  });

  it('is the same for the same seed and iteration, and another otherwise', () => {
    expect(plan(50).order).toEqual(plan(50).order);
    expect(plan(50).order).not.toEqual(plan(50, { seed: 2 }).order);
    expect(plan(50).order).not.toEqual(plan(50, { iteration: 2 }).order);
  });
});

describe('a batch', () => {
  const plan = (rows: TrainingRow[]) => ({
    rows,
    batch: 4,
    order: Int32Array.from(rows.keys()),
    steps: 1,
  });

  it('says what was available, what is right and wrong, and what a row weighs', () => {
    const batch = assembleBatch(
      plan([
        row({ right: [{ arm: 2, weight: 1 }], weight: 0.5 }),
        row({ wrong: [{ arm: 0, weight: 0.7 }], wrongScale: 0.3 }),
      ]),
      0,
      options,
    );
    expect([...batch.available]).toEqual([1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    expect([...batch.right.slice(0, 6)]).toEqual([0, 0, 1, 0, 0, 0]);
    expect([...batch.wrong.slice(0, 6)]).toEqual([0, 0, 0, Math.fround(0.7), 0, 0]);
    expect([...batch.wrongScale]).toEqual([0, Math.fround(0.3), 0, 0]);
    expect([...batch.weights]).toEqual([0.5, 1, 0, 0]);
    expect([...batch.isDecision]).toEqual([0, 0, 0, 0]);
  });

  it('holds arm, propensity and advantage of a decision', () => {
    const batch = assembleBatch(
      plan([row(), row({ decision: { arm: 2, advantage: -2, propensity: 0.25 } })]),
      0,
      options,
    );
    expect([...batch.isDecision]).toEqual([0, 1, 0, 0]);
    expect([...batch.arms]).toEqual([0n, 2n, 0n, 0n]);
    expect([...batch.advantages]).toEqual([0, -2, 0, 0]);
    expect(batch.logPropensities[1]).toBe(Math.fround(Math.log(0.25)));
  });

  it('drops hidden units at the given rate and keeps their mean, each step anew', () => {
    const many = { ...plan(Array.from({ length: 8 }, () => row())), steps: 2 };
    const [first, second] = [0, 1].map((step) =>
      assembleBatch(many, step, { ...options, hidden: 4096, dropout: 0.3 }),
    );
    const mask = first?.hiddenMask ?? new Float32Array();
    expect(new Set(mask).size).toBe(2);
    expect(mask.reduce((sum, x) => sum + x, 0) / mask.length).toBeCloseTo(1, 1);
    expect(mask.filter((x) => x === 0).length / mask.length).toBeCloseTo(0.3, 1);
    expect(second?.hiddenMask).not.toEqual(mask);
  });
});

describe('the bag', () => {
  it('holds each distinct row once, and weight times row sums to the text', () => {
    const texts = [
      row().text,
      { rows: Int32Array.of(5, 9), weights: Float32Array.of(1, 2), words: 1 },
    ];
    const bag = buildBag(texts, { batch: 3, buckets: 1024, keep: () => 1 });
    expect([...bag.rows]).toEqual([3, 5, 9]);
    expect(bag.size).toBe(512);
    const at = (i: number, j: number): number => bag.weights[i * bag.size + j] as number;
    expect([at(0, 0), at(0, 1), at(0, 2)].map((x) => Number(x.toFixed(6)))).toEqual([0.6, 0.8, 0]);
    expect([at(1, 0), at(1, 1), at(1, 2)]).toEqual([0, 1, 2]);
    expect(bag.weights.slice(2 * bag.size).every((x) => x === 0)).toBe(true);
  });

  it('leaves a row that every text dropped out of the step', () => {
    let call = 0;
    const bag = buildBag([row().text], {
      batch: 1,
      buckets: 1024,
      keep: () => (call++ === 0 ? 0 : 2),
    });
    expect([...bag.rows]).toEqual([5]);
    expect(bag.weights[0]).toBeCloseTo(1.6, 6);
  });

  it('comes in few sizes, never above the table’s', () => {
    const sizes = [1, 512, 513, 769, 1025, 1537, 5000, 40_000].map((used) =>
      bagSize(used, 1 << 15),
    );
    expect(sizes).toEqual([512, 512, 1024, 1024, 1536, 2048, 5120, 32_768]);
    expect(bagSize(10, 256)).toBe(256);
  });

  it('gathers rows and scatters them back to where they came from', () => {
    const table = Float32Array.from({ length: 8 }, (_, i) => i);
    const out = new Float32Array(6).fill(9);
    gatherRows(table, Int32Array.of(3, 0), 2, out);
    expect([...out]).toEqual([6, 7, 0, 1, 0, 0]);
    scatterRows(
      table,
      Int32Array.of(3, 0),
      2,
      out.map((x) => -x),
    );
    expect([...table]).toEqual([-0, -1, 2, 3, 4, 5, -6, -7]);
  });
});

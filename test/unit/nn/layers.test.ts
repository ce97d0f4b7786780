import type { Node } from '../../../src/autodiff/graph';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { dropout } from '../../../src/nn/dropout';
import { embeddingBag } from '../../../src/nn/embedding-bag';
import { gelu } from '../../../src/nn/gelu';
import { linear } from '../../../src/nn/linear';
import { ShapeError } from '../../../src/errors';
import { evaluate } from '../../gradcheck/reference';

const constant = (b: GraphBuilder, shape: number[], values: number[]): Node =>
  b.constant(Float64Array.from(values), shape);

function valuesOf(build: (b: GraphBuilder) => Node): number[] {
  const b = new GraphBuilder();
  return Array.from(evaluate(b.build({ out: build(b) }), {}).get('out') ?? []);
}

test('a linear layer is x · Wᵀ + bias, with the weight stored as [out, in]', () => {
  const x = [1, 2, 3, 4];
  const weight = [1, 0, 0, 1, 1, 1];
  const layer = (bias?: number[]): number[] =>
    valuesOf((b) =>
      linear(
        b,
        constant(b, [2, 2], x),
        constant(b, [3, 2], weight),
        bias && constant(b, [3], bias),
      ),
    );
  expect(layer([10, 20, 30])).toEqual([11, 22, 33, 13, 24, 37]);
  expect(layer()).toEqual([1, 2, 3, 3, 4, 7]);
});

test('a weight stored the other way round is refused', () => {
  const b = new GraphBuilder();
  expect(() => linear(b, b.zeros([4, 2]), b.zeros([2, 3]))).toThrow(ShapeError);
});

test('gelu is the exact one', () => {
  // x · Φ(x) by the tables of Φ; the tanh approximation gives −0.0454023 at −2
  const expected = [-0.1586552539, -0.0455002639, 0, 0.8413447461, 2.9959503056];
  const values = valuesOf((b) => gelu(b, constant(b, [5], [-1, -2, 0, 1, 3])));
  expected.forEach((value, i) => expect(values[i]).toBeCloseTo(value, 9));
});

test('dropout multiplies by its mask', () => {
  expect(
    valuesOf((b) => dropout(b, constant(b, [3], [1, 2, 3]), constant(b, [3], [0, 2, 2]))),
  ).toEqual([0, 4, 6]);
});

test('an embedding bag sums rows with their weights', () => {
  const bag = [0.5, 0.5, 0, 0, 0, 2];
  const rows = [1, 2, 3, 4, 5, 6];
  expect(
    valuesOf((b) => embeddingBag(b, constant(b, [2, 3], bag), constant(b, [3, 2], rows))),
  ).toEqual([2, 3, 10, 12]);
});

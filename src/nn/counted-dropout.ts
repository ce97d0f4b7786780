import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';
import { stream } from '../rl/counter-rng';

/** Keys are below this prime, 2³¹ − 1, so that products of two fit 64 bits. */
export const DROPOUT_MODULUS = 2 ** 31 - 1;
const MULTIPLIER = 48_271; // of Park and Miller's generator for this modulus, 1988

/**
 * Inverted dropout whose draws are a function of what they are for, and not of when they are made: a step that is repeated leaves out the same
 * values. Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
 *
 * The graph holds no random numbers: it mixes a number per row, which is fed, with one per column of the layer. With both as keys,
 *
 *   h₀ = (a·row + column) mod p;   h₁ = (h₀² + column) mod p;   h₂ = (h₁² + row) mod p;   a value stays if h₂ ≥ rate·p
 *
 * @param x float32 [rows, columns]. @param rowKeys int64 [rows, 1] in [0, DROPOUT_MODULUS). @param layer two layers draw apart.
 */
export function countedDropout(
  b: GraphBuilder,
  x: Node,
  {
    rowKeys,
    layer,
    rate,
  }: { readonly rowKeys: Node; readonly layer: string; readonly rate: number },
): Node {
  const [, columns] = x.shape as [number, number];
  const random = stream({ seed: 0, purpose: 'nn.dropout', task: layer });
  const keys = BigInt64Array.from({ length: columns }, () => BigInt(random.below(DROPOUT_MODULUS)));
  const column = b.constant(keys, [1, columns]);
  const modulo = (value: Node): Node => b.mod(value, DROPOUT_MODULUS);
  const first = modulo(b.add(b.scale(rowKeys, MULTIPLIER), column));
  const second = modulo(b.add(b.mul(first, first), column));
  const third = modulo(b.add(b.mul(second, second), rowKeys));
  const isKept = b.greaterOrEqual(third, Math.round(rate * DROPOUT_MODULUS));
  return b.mul(x, b.scale(b.cast(isKept, x.dtype), 1 / (1 - rate)));
}

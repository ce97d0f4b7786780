import type { Node } from '../../../src/autodiff/graph';
import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { grad } from '../../../src/autodiff/grad';
import { evaluate } from '../../gradcheck/reference';

/**
 * Values of what `build` returns, and the gradient of its first entry's sum by `logits`, in float64.
 *
 * @param logits [B, A], one array per row.
 */
export function evaluateLoss(
  logits: readonly (readonly number[])[],
  build: (b: GraphBuilder, logits: Node) => Readonly<Record<string, Node>>,
): Record<string, number[]> {
  const b = new GraphBuilder();
  const shape = [logits.length, logits[0]?.length ?? 0];
  const input = b.input('logits', shape, 'float64');
  const outputs = build(b, input);
  const [first] = Object.values(outputs) as [Node];
  const [gradient] = grad(b, b.sumAll(first), [input]) as [Node];
  const values = evaluate(b.build({ ...outputs, gradient }), { logits: logits.flat() });
  return Object.fromEntries([...values].map(([name, data]) => [name, Array.from(data)]));
}

export const float64 = (b: GraphBuilder, shape: number[], values: readonly number[]): Node =>
  b.constant(Float64Array.from(values), shape);
export const bool = (b: GraphBuilder, shape: number[], values: readonly number[]): Node =>
  b.constant(Uint8Array.from(values), shape);
export const int64 = (b: GraphBuilder, shape: number[], values: readonly number[]): Node =>
  b.constant(BigInt64Array.from(values, BigInt), shape);

export const softmax = (logits: readonly number[]): number[] => {
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / total);
};

export function expectClose(got: readonly number[] | undefined, expected: readonly number[]): void {
  expect(got).toHaveLength(expected.length);
  expected.forEach((value, i) => expect(got?.[i]).toBeCloseTo(value, 10));
}

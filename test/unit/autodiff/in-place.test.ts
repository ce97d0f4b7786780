import { GraphBuilder } from '../../../src/autodiff/graph-builder';
import { verifyInPlace } from '../../../src/autodiff/in-place';
import type { Node } from '../../../src/autodiff/graph';

function check(
  build: (b: GraphBuilder, w: Node, x: Node) => { next: Node; more?: Node },
): () => void {
  const b = new GraphBuilder();
  const [w, x] = [b.input('w', [2, 2]), b.input('x', [2, 2])];
  const { next, more = x } = build(b, w, x);
  const graph = b.build({ 'next.w': next, more: b.neg(more) });
  return () => verifyInPlace(graph, new Map([['next.w', 'w']]));
}

test('an output may take the place of an input that it reads last, element by element', () => {
  expect(check((b, w, x) => ({ next: b.sub(w, b.matMul(w, x)) }))).not.toThrow();
  expect(check((b, w, x) => ({ next: b.gemm(x, x, { add: w }) }))).not.toThrow();
  expect(check((b, _w, x) => ({ next: b.exp(x) }))).not.toThrow();
});

test('an input that somebody reads later, or out of order, cannot be overwritten', () => {
  expect(check((b, w, x) => ({ next: b.add(w, x), more: b.exp(w) }))).toThrow(/node=Exp/);
  expect(check((b, w, x) => ({ next: b.matMul(w, x) }))).toThrow(/node=MatMul/);
  expect(check((b, w, x) => ({ next: b.gemm(w, x, { add: w }) }))).toThrow(/node=Gemm/);
  expect(check((b, w) => ({ next: b.transpose(w) }))).toThrow(/node=Transpose/);
});

test('a pair that the graph does not have is an error', () => {
  const b = new GraphBuilder();
  const graph = b.build({ y: b.exp(b.input('w', [2])) });
  expect(() => verifyInPlace(graph, new Map([['next.w', 'w']]))).toThrow(/not there/);
  expect(() => verifyInPlace(graph, new Map([['y', 'v']]))).toThrow(/not there/);
});

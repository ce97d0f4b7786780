import { InvalidInputError, ShapeError, UnsupportedOpError } from '../errors';
import type { GraphBuilder } from './graph-builder';
import type { Node, OpType } from './graph';
import { formatType, isFloat, sameShape } from './graph';
import type { VjpRule, VjpTable } from './vjp';
import { vjp } from './vjp';

/**
 * Reverse-mode differentiation: ∂loss/∂w for each w of `wrt`, as nodes of the same builder.
 *
 * One walk from the loss back, over those nodes that lie between `wrt` and the loss; each node's rule turns its cotangent
 * into its inputs', and what arrives at one node over several ways is added. Nodes of `wrt` may be inputs or inner nodes.
 *
 * @param loss of rank 0, float.
 * @returns one gradient per entry of `wrt`, of its shape and dtype; zeros where the loss does not depend on it.
 * @throws {UnsupportedOpError} naming the node, if the walk needs a rule that `rules` does not have.
 */
export function grad(
  b: GraphBuilder,
  loss: Node,
  wrt: readonly Node[],
  rules: VjpTable = vjp,
): Node[] {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype)) {
    throw new ShapeError(`a loss is a float scalar, got ${formatType(loss)}; reduce it first`, {
      context: { node: loss.name },
    });
  }
  for (const w of wrt) {
    if (!isFloat(w.dtype)) {
      throw new InvalidInputError(`only floats have gradients, got ${formatType(w)}`, {
        context: { node: w.name },
      });
    }
  }
  const wanted = new Set(wrt);
  const dependent = dependentOn(b.nodes.slice(0, loss.index + 1), wanted);
  const cotangents = new Map<Node, Node>();
  if (dependent.has(loss)) cotangents.set(loss, b.scalar(1, loss.dtype));

  for (let index = loss.index; index >= 0; index -= 1) {
    const node = b.nodes[index] as Node;
    const dy = cotangents.get(node);
    // A wanted node with nothing wanted before it is an end of the walk: its own rule is not needed.
    if (dy === undefined || !node.inputs.some((input) => dependent.has(input))) continue;
    const inputCotangents = applyRule(b, node, dy, rules);
    node.inputs.forEach((input, i) => {
      const cotangent = inputCotangents[i] ?? null;
      if (cotangent === null || !dependent.has(input)) return;
      checkCotangent(node, input, cotangent);
      const before = cotangents.get(input);
      cotangents.set(input, before === undefined ? cotangent : b.add(before, cotangent));
    });
  }
  return wrt.map((w) => cotangents.get(w) ?? b.zeros(w.shape, w.dtype));
}

/** The float nodes that are computed from `wanted`, including `wanted` itself. */
function dependentOn(nodes: readonly Node[], wanted: ReadonlySet<Node>): Set<Node> {
  const dependent = new Set<Node>();
  for (const node of nodes) {
    const isComputedFrom = isFloat(node.dtype) && node.inputs.some((input) => dependent.has(input));
    if (isComputedFrom || wanted.has(node)) dependent.add(node);
  }
  return dependent;
}

function applyRule(
  b: GraphBuilder,
  node: Node,
  dy: Node,
  rules: VjpTable,
): readonly (Node | null)[] {
  const rule = rules[node.op] as VjpRule<OpType> | 'constant' | undefined;
  if (rule === undefined) {
    throw new UnsupportedOpError(
      'the operator has no gradient rule: add one to vjp.ts, or use stopGradient',
      {
        context: { op: node.op, node: node.name },
      },
    );
  }
  if (rule === 'constant') return node.inputs.map(() => null);
  const cotangents = rule(b, node, dy);
  if (cotangents.length !== node.inputs.length) {
    throw new ShapeError(
      `a gradient rule gave ${cotangents.length} cotangents for ${node.inputs.length} inputs`,
      {
        context: { op: node.op, node: node.name },
      },
    );
  }
  return cotangents;
}

function checkCotangent(node: Node, input: Node, cotangent: Node): void {
  if (cotangent.dtype === input.dtype && sameShape(cotangent.shape, input.shape)) return;
  throw new ShapeError(
    `a cotangent has the type of its input: expected ${formatType(input)}, got ${formatType(cotangent)}`,
    {
      context: { op: node.op, node: node.name, input: input.name },
    },
  );
}

import { InvalidInputError, ShapeError, UnsupportedOpError } from '../errors';
import { customGradientOf } from './custom-gradient';
import type { GraphBuilder } from './graph-builder';
import type { Node, OpType } from './graph';
import { formatType, isFloat, sameShape } from './graph';
import type { VjpRule, VjpTable } from './vjp';
import { vjp } from './vjp';

/**
 * Reverse-mode differentiation: ∂loss/∂w for each w of `wrt`, as nodes of the same builder.
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
  return pullback(b, loss, b.scalar(1, loss.dtype), wrt, rules);
}

/**
 * The vector-Jacobian product of everything between `wrt` and `output`: from the cotangent of `output`, one per entry of `wrt`.
 *
 * One walk from the output back, over those nodes that lie between; each node's rule, or the one that `withGradient` gave it,
 * turns its cotangent into its inputs', and what arrives at one node over several ways is added. Nodes of `wrt` may be inputs
 * or inner nodes.
 *
 * @param dy of the shape and dtype of `output`.
 * @returns of the shapes and dtypes of `wrt`; zeros where the output does not depend on it.
 */
export function pullback(
  b: GraphBuilder,
  output: Node,
  dy: Node,
  wrt: readonly Node[],
  rules: VjpTable = vjp,
): Node[] {
  for (const w of wrt) {
    if (!isFloat(w.dtype)) {
      throw new InvalidInputError(`only floats have gradients, got ${formatType(w)}`, {
        context: { node: w.name },
      });
    }
  }
  const wanted = new Set(wrt);
  const dependent = dependentOn(b.nodes.slice(0, output.index + 1), wanted);
  const cotangents = new Map<Node, Node>();
  if (dependent.has(output)) cotangents.set(output, dy);

  for (let index = output.index; index >= 0; index -= 1) {
    const node = b.nodes[index] as Node;
    const cotangent = cotangents.get(node);
    // A wanted node with nothing wanted before it is an end of the walk: its own rule is not needed.
    if (cotangent === undefined || !node.inputs.some((input) => dependent.has(input))) continue;
    const custom = customGradientOf(node);
    const inputs = custom?.inputs ?? node.inputs;
    const results =
      custom === undefined
        ? applyRule(b, node, cotangent, rules)
        : checkCount(node, custom.rule(cotangent), inputs);
    inputs.forEach((input, i) => {
      const result = results[i] ?? null;
      if (result === null || !dependent.has(input)) return;
      checkCotangent(node, input, result);
      const before = cotangents.get(input);
      cotangents.set(input, before === undefined ? result : accumulate(b, before, result));
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

/**
 * before + result. A matrix product takes the other term along, as Gemm's addend, which saves a pass over memory: the product
 * that was just made is then needed no more, and pruned.
 */
export function accumulate(b: GraphBuilder, before: Node, result: Node): Node {
  if (result.op !== 'Gemm' || result.inputs.length !== 2) return b.add(before, result);
  const [x, y] = result.inputs as [Node, Node];
  return b.gemm(x, y, { ...result.attributes, add: before });
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
  return checkCount(node, rule(b, node, dy), node.inputs);
}

function checkCount(
  node: Node,
  cotangents: readonly (Node | null)[],
  inputs: readonly Node[],
): readonly (Node | null)[] {
  if (cotangents.length === inputs.length) return cotangents;
  throw new ShapeError(
    `a gradient rule gave ${cotangents.length} cotangents for ${inputs.length} inputs`,
    { context: { op: node.op, node: node.name } },
  );
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

import { InvalidInputError } from '../errors';
import type { Node } from './graph';
import { isFloat } from './graph';

/** From the cotangent of a result one cotangent per listed input, or null where none flows. */
export type CustomRule = (dy: Node) => readonly (Node | null)[];

interface CustomGradient {
  readonly inputs: readonly Node[];
  readonly rule: CustomRule;
}

const gradients = new WeakMap<Node, CustomGradient>();

/**
 * Gives a composite a gradient of its own, written by hand: `grad` goes from `output` straight to `inputs` by `rule`, past all
 * nodes between them. (JAX calls it custom_vjp.) For where the rules of the parts make more passes over memory than needed.
 *
 * The rule's nodes are ordinary ones, so it can be differentiated again. It is not part of the graph: a model that was
 * read back from its bytes does not have it.
 *
 * @param inputs where the composite begins. @returns output.
 * @throws {InvalidInputError} if a float input of the graph reaches `output` past them: its gradient would be a silent zero.
 */
export function withGradient(output: Node, inputs: readonly Node[], rule: CustomRule): Node {
  const bounds = new Set(inputs);
  const seen = new Set<Node>();
  const open = [output];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (bounds.has(node) || seen.has(node)) continue;
    seen.add(node);
    if (node.op === 'Input' && isFloat(node.dtype)) {
      throw new InvalidInputError(
        'a composite with a gradient of its own has to list all that it depends on',
        { context: { output: output.name, missing: node.name } },
      );
    }
    open.push(...node.inputs);
  }
  gradients.set(output, { inputs, rule });
  return output;
}

export function customGradientOf(node: Node): CustomGradient | undefined {
  return gradients.get(node);
}

import { InvalidInputError } from '../errors';
import type { Graph, Node } from './graph';

/** Prefix of an output that takes the place of the input whose name follows. */
export const NEXT = 'next.';

/** Operators that read element i of an operand of the result's shape only for element i of the result. */
const ELEMENTWISE: ReadonlySet<string> = new Set([
  ...['Identity', 'Neg', 'Abs', 'Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Where', 'Clip', 'Relu'],
]);

/**
 * Checks that outputs may be written into the memory of inputs: `pairs` maps an output's name to the input that it replaces. The node
 * that computes the output has to come last of all that read the input, and read it element by element, or as the addend of a
 * product (which copies it to the result before it adds).
 *
 * @throws {InvalidInputError} naming the node that would read what is already overwritten.
 */
export function verifyInPlace({ nodes, outputs }: Graph, pairs: ReadonlyMap<string, string>): void {
  const inputs = new Map(nodes.filter(({ op }) => op === 'Input').map((node) => [node.name, node]));
  for (const [outputName, inputName] of pairs) {
    const context = { output: outputName, input: inputName };
    const output = outputs.get(outputName);
    const input = inputs.get(inputName);
    if (output === undefined || input === undefined) {
      throw new InvalidInputError('an output in place of an input: one of them is not there', {
        context,
      });
    }
    const before = ancestorsOf(output);
    for (const reader of nodes) {
      if (!reader.inputs.includes(input)) continue;
      const isSafe = reader === output ? readsElementwise(reader, input) : before.has(reader);
      if (isSafe) continue;
      throw new InvalidInputError(
        'an input cannot be overwritten by this output: a node reads it afterwards, or out of order',
        { context: { ...context, node: reader.name } },
      );
    }
  }
}

/** Checks `verifyInPlace` for all outputs that are called `next.` and an input. */
export function verifyNext(graph: Graph): void {
  const names = [...graph.outputs.keys()].filter((name) => name.startsWith(NEXT));
  verifyInPlace(graph, new Map(names.map((name) => [name, name.slice(NEXT.length)])));
}

function readsElementwise(node: Node, input: Node): boolean {
  if (node.op === 'Gemm') return node.inputs[0] !== input && node.inputs[1] !== input;
  return ELEMENTWISE.has(node.op) && node.shape.join() === input.shape.join();
}

function ancestorsOf(node: Node): Set<Node> {
  const found = new Set<Node>();
  const open = [...node.inputs];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    open.push(...next.inputs);
  }
  return found;
}

import type { Graph, Node } from './graph';

/** The same graph without nodes that no output needs. Inputs stay: they are the graph's interface. */
export function prune({ nodes, outputs }: Graph): Graph {
  const needed = new Set<Node>(outputs.values());
  // Inputs of a node stand before it, so one pass from the back meets every user first.
  for (const node of nodes.toReversed()) {
    if (needed.has(node)) for (const input of node.inputs) needed.add(input);
  }
  return { nodes: nodes.filter((node) => node.op === 'Input' || needed.has(node)), outputs };
}

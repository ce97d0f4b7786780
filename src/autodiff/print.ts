import type { Graph, Node, TensorData } from './graph';
import { formatType } from './graph';

/** One line per node, for people: `Add_7: float32[2,3] = Add(x, Mul_4)`, then the outputs. Not a format: nothing parses it. */
export function printGraph({ nodes, outputs }: Graph): string {
  const lines = nodes.map((node) => `${node.name}: ${formatType(node)} = ${printCall(node)}`);
  for (const [name, node] of outputs)
    lines.push(`output ${name}: ${formatType(node)} = ${node.name}`);
  return `${lines.join('\n')}\n`;
}

function printCall(node: Node): string {
  const inputs = node.inputs.map(({ name }) => name);
  const attributes = Object.entries(node.attributes as Readonly<Record<string, AttributeValue>>)
    .filter(([name]) => !(name in node)) // shape and dtype stand in front already
    .map(([name, value]) => `${name}=${printValue(value)}`);
  return `${node.op}(${[...inputs, ...attributes].join(', ')})`;
}

type AttributeValue = string | number | boolean | readonly number[] | TensorData;

function printValue(value: AttributeValue): string {
  if (ArrayBuffer.isView(value)) {
    const some = Array.from(value.subarray(0, 4), String);
    return `[${some.join(',')}${value.length > some.length ? ',…' : ''}]`;
  }
  return typeof value === 'object' ? `[${value.join(',')}]` : String(value);
}

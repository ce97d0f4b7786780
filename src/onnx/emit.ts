import { InvalidInputError } from '../errors';
import type { Graph, Node, NodeOf, TensorType } from '../autodiff/graph';
import { verify } from '../autodiff/verify';
import type { NodeProto, TensorProto, ValueInfoProto } from './onnx-proto';
import { DATA_TYPE, encodeModel } from './onnx-proto';
import type { Computed, ConstantInput } from './op-forms';
import { CONTRIB_DOMAIN, domainOf, OP_FORMS } from './op-forms';
import { toTensorProto } from './tensor-proto';

export const OPSET_VERSION = 20;
/** The IR version that came with opset 20 (ONNX 1.15). */
export const IR_VERSION = 9;
/** Doc string of an Identity that only gives an output its name. */
export const OUTPUT_ALIAS = 'output';

/**
 * A graph as the bytes of an ONNX model: opset 20, static shapes, constants as raw initializers. `verify` runs first. The
 * same graph always gives the same bytes; `readModel` gives the graph back.
 */
export function emitModel(graph: Graph, { name = 'graph' }: { name?: string } = {}): Uint8Array {
  verify(graph);
  const valueNames = outputNames(graph);
  const initializers = new Map<string, TensorProto>();
  /** A constant is written when it is first used: a graph that was read back, where constants stand there, gives the same bytes. */
  const valueOf = (node: Node): string => {
    if (node.op === 'Constant' && !initializers.has(node.name)) {
      const { data } = node.attributes;
      initializers.set(node.name, toTensorProto(node.dtype, node.shape, data, node.name));
    }
    return valueNames.get(node) ?? node.name;
  };
  const nodes: NodeProto[] = [];
  const inputs: ValueInfoProto[] = [];

  for (const node of graph.nodes) {
    if (node.name.startsWith(CONSTANT_PREFIX)) {
      throw new InvalidInputError(
        `names that start with ${CONSTANT_PREFIX} are the emitter's own`,
        {
          context: { node: node.name },
        },
      );
    }
    if (node.op === 'Input') {
      inputs.push(valueInfo(node.name, node));
    } else if (node.op !== 'Constant') {
      nodes.push(writeNode(node, valueOf, initializers));
    }
  }
  const outputs: ValueInfoProto[] = [];
  for (const [output, node] of graph.outputs) {
    outputs.push(valueInfo(output, node));
    if (valueOf(node) === output) continue;
    nodes.push({
      name: `${CONSTANT_PREFIX}${output}`,
      opType: 'Identity',
      input: [valueOf(node)],
      output: [output],
      attribute: [],
      docString: OUTPUT_ALIAS,
    });
  }
  return encodeModel({
    irVersion: IR_VERSION,
    producerName: 'ratchet',
    opsetImport: [
      { domain: '', version: OPSET_VERSION },
      ...(nodes.some(({ domain }) => domain !== undefined)
        ? [{ domain: CONTRIB_DOMAIN, version: 1 }]
        : []),
    ],
    graph: {
      name,
      node: nodes,
      initializer: [...initializers.values()],
      input: inputs,
      output: outputs,
    },
  });
}

const CONSTANT_PREFIX = '#';

/** A computed node's value is called like the first output that it is; inputs, constants and second names need an alias. */
function outputNames({ outputs }: Graph): Map<Node, string> {
  const names = new Map<Node, string>();
  for (const [output, node] of outputs) {
    if (node.op !== 'Input' && node.op !== 'Constant' && !names.has(node)) names.set(node, output);
  }
  return names;
}

function writeNode(
  node: { [O in Computed]: NodeOf<O> }[Computed],
  valueOf: (node: Node) => string,
  initializers: Map<string, TensorProto>,
): NodeProto {
  const form = OP_FORMS[node.op].write(node as never);
  const constants = (form.constants ?? []).map((constant) =>
    constantInput(constant, node, initializers),
  );
  return {
    name: node.name,
    opType: form.opType ?? node.op,
    ...(domainOf(node.op) === '' ? {} : { domain: domainOf(node.op) }),
    input: [...node.inputs.map(valueOf), ...constants],
    output: [valueOf(node)],
    attribute: form.attributes ?? [],
    ...(form.docString === undefined ? {} : { docString: form.docString }),
  };
}

/** The name of an initializer with these values; equal ones are stored once. */
function constantInput(
  constant: ConstantInput,
  node: Node,
  initializers: Map<string, TensorProto>,
): string {
  if (constant === null) return '';
  const [dtype, shape, values] =
    'int64' in constant
      ? (['int64', [constant.int64.length], constant.int64] as const)
      : ([node.dtype, [], [constant.scalar]] as const);
  const name = `${CONSTANT_PREFIX}${dtype}${shape.length === 0 ? '' : '[]'} ${values.join(',')}`;
  if (!initializers.has(name)) initializers.set(name, toTensorProto(dtype, shape, values, name));
  return name;
}

function valueInfo(name: string, { dtype, shape }: TensorType): ValueInfoProto {
  const dim = shape.map((size) => ({ dimValue: size }));
  return { name, type: { tensorType: { elemType: DATA_TYPE[dtype], shape: { dim } } } };
}

import { IntegrityError, UnsupportedOpError } from '../errors';
import type { Graph, Node } from '../autodiff/graph';
import { GraphBuilder } from '../autodiff/graph-builder';
import { isOpType } from '../autodiff/op-specs';
import { verify } from '../autodiff/verify';
import { OUTPUT_ALIAS } from './emit';
import type { AttributeProto, NodeProto, TensorProto } from './onnx-proto';
import { decodeModel } from './onnx-proto';
import type { Computed, NodeReader } from './op-forms';
import { domainOf, OP_FORMS, STOP_GRADIENT } from './op-forms';
import { dtypeFromOnnx, fromTensorProto } from './tensor-proto';

/**
 * The graph of an ONNX model that uses only what the IR has: the operators of graph.ts, static shapes, raw initializers.
 * Constants stand where they are first used; otherwise `readModel(emitModel(graph))` is the same graph.
 *
 * @throws {IntegrityError} if the bytes are damaged; {UnsupportedOpError} naming what the IR cannot say.
 */
export function readModel(bytes: Uint8Array): Graph {
  const { graph } = decodeModel(bytes);
  const b = new GraphBuilder();
  const values = new Map<string, Node>();
  const initializers = new Map(graph.initializer.map((tensor) => [tensor.name ?? '', tensor]));

  /** The node of a value; an initializer becomes a constant when it is first used as an operand. */
  const valueOf = (name: string): Node => {
    let node = values.get(name);
    if (node !== undefined) return node;
    const { data, shape, dtype } = fromTensorProto(initializerOf(name, initializers));
    node = b.constant(data, shape, dtype, name);
    values.set(name, node);
    return node;
  };

  for (const { name, type } of graph.input) {
    const { elemType, shape } = type.tensorType;
    const sizes = shape.dim.map(({ dimValue }) => {
      if (dimValue !== undefined) return dimValue;
      throw new UnsupportedOpError('expected static shapes', { context: { input: name } });
    });
    values.set(name, b.input(name, sizes, dtypeFromOnnx(elemType)));
  }
  for (const proto of graph.node) {
    const [output] = proto.output;
    if (proto.output.length !== 1 || output === undefined) {
      throw new UnsupportedOpError('expected nodes with one output', {
        context: { node: proto.name },
      });
    }
    const op = opOf(proto);
    if (proto.docString === OUTPUT_ALIAS) {
      values.set(output, valueOf(proto.input[0] ?? ''));
      continue;
    }
    const operands = operandCount(op, proto);
    const inputs = proto.input.slice(0, operands).map(valueOf);
    const constants = proto.input
      .slice(operands)
      .map((name) =>
        name === ''
          ? undefined
          : Array.from(fromTensorProto(initializerOf(name, initializers)).data, Number),
      );
    const attributes = readAttributes(op, proto, inputs, constants);
    values.set(
      output,
      b.append(op, inputs, attributes as never, proto.name === '' ? output : proto.name),
    );
  }
  const outputs = new Map(graph.output.map(({ name }) => [name, valueOf(name)]));
  const result = { nodes: b.nodes, outputs };
  verify(result);
  return result;
}

function opOf({ opType, domain = '', docString, name }: NodeProto): Computed {
  const op = opType === 'Identity' && docString === STOP_GRADIENT ? 'StopGradient' : opType;
  if (isOpType(op) && op in OP_FORMS && domain === domainOf(op)) return op as Computed;
  throw new UnsupportedOpError('the operator is not in the IR', {
    context: { op: opType, node: name, ...(domain === '' ? {} : { domain }) },
  });
}

/** How many inputs are tensors; those behind them are constants that the IR keeps as attributes. */
function operandCount(op: Computed, { input }: NodeProto): number {
  switch (op) {
    case 'ConstantOfShape':
      return 0;
    case 'Clip':
    case 'Reshape':
    case 'Expand':
    case 'Slice':
    case 'Pad':
    case 'ReduceSum':
    case 'ReduceSumSquare':
    case 'ReduceMean':
    case 'ReduceMax':
      return 1;
    default:
      return input.length;
  }
}

function readAttributes(
  op: Computed,
  { name, attribute }: NodeProto,
  inputs: readonly Node[],
  constants: readonly (readonly number[] | undefined)[],
): unknown {
  const unread = new Map<string, AttributeProto>(attribute.map((a) => [a.name, a]));
  const unreadConstants = new Set(constants.keys());
  const refuse = (what: string): never => {
    throw new UnsupportedOpError(`the IR cannot say: ${what}`, { context: { op, node: name } });
  };
  const take = (key: string): AttributeProto | undefined => {
    const found = unread.get(key);
    unread.delete(key);
    return found;
  };
  const reader: NodeReader = {
    inputs,
    refuse,
    attribute: take,
    // Writers of proto3 leave out a value that is 0 or empty: what counts is whether the attribute is there.
    int: (key, otherwise) => (unread.has(key) ? (take(key)?.i ?? 0) : otherwise),
    float: (key, otherwise) => (unread.has(key) ? (take(key)?.f ?? 0) : otherwise),
    ints: (key) => take(key)?.ints ?? refuse(`${op} without ${key}`),
    string: (key, otherwise) =>
      unread.has(key) ? Buffer.from(take(key)?.s ?? []).toString() : otherwise,
    constant: (position) => {
      unreadConstants.delete(position);
      return constants[position];
    },
  };
  const attributes = OP_FORMS[op].read(reader);
  for (const key of unread.keys()) refuse(`attribute ${key}`);
  for (const position of unreadConstants)
    if (constants[position] !== undefined) refuse(`input ${position + inputs.length}`);
  return attributes;
}

function initializerOf(name: string, initializers: ReadonlyMap<string, TensorProto>): TensorProto {
  const tensor = initializers.get(name);
  if (tensor === undefined) {
    throw new IntegrityError('a node uses a value that nothing before it gives', {
      context: { value: name },
    });
  }
  return tensor;
}

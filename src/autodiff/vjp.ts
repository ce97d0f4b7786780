import type { GraphBuilder } from './graph-builder';
import type { Node, NodeOf, OpType } from './graph';
import { isFloat, sizeOf } from './graph';
import { rotaryEmbedding, scaledMatMul } from './runtime-operators';

/**
 * The vector-Jacobian product of one operator: from the cotangent of its result, `dy` (of the result's shape and dtype), one
 * cotangent per input (of that input's shape and dtype), or null where none flows.
 */
export type VjpRule<O extends OpType> = (
  b: GraphBuilder,
  node: NodeOf<O>,
  dy: Node,
) => readonly (Node | null)[];

/** A rule; 'constant' where the derivative is 0 wherever it exists, so that the walk stops; or absent, which is an error. */
export type VjpTable = { readonly [O in OpType]?: VjpRule<O> | 'constant' };

// verify checked the arity of every node, so the inputs that a rule names are there.
const one = (node: { readonly inputs: readonly Node[] }): Node => node.inputs[0] as Node;
const two = (node: { readonly inputs: readonly Node[] }): [Node, Node] => [
  node.inputs[0] as Node,
  node.inputs[1] as Node,
];
/** The node itself, as an operand: rules that use their own result do not compute it again. */
const self = <O extends OpType>(node: NodeOf<O>): Node => node as unknown as Node;

/** 1 where the condition holds, else 0, in the dtype of `like`. */
const indicator = (b: GraphBuilder, condition: Node, like: Node): Node =>
  b.cast(condition, like.dtype);

/** Max and Min: all to the operand that was taken, half to each on a tie. */
function chosen<O extends 'Max' | 'Min'>(better: 'greater' | 'less'): VjpRule<O> {
  return (b, node, dy) => {
    const [x, y] = two(node);
    const tie = b.scale(indicator(b, b.append('Equal', [x, y], {}), dy), 0.5);
    const isX = b.append(better === 'greater' ? 'Greater' : 'Less', [x, y], {});
    const isY = b.append(better === 'greater' ? 'Greater' : 'Less', [y, x], {});
    const share = (isTaken: Node): Node => b.mul(dy, b.add(indicator(b, isTaken, dy), tie));
    return [b.sumTo(share(isX), x.shape), b.sumTo(share(isY), y.shape)];
  };
}

/** Gives a reduced value its operand's shape back: first the dimensions of size 1, then the values in them. */
function restore(b: GraphBuilder, reduced: Node, operand: Node, axes: readonly number[]): Node {
  return b.expand(keptDimensions(b, reduced, operand, axes), operand.shape);
}
function keptDimensions(
  b: GraphBuilder,
  reduced: Node,
  operand: Node,
  axes: readonly number[],
): Node {
  return b.reshape(
    reduced,
    operand.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
  );
}

/** Whole rows added into a zero tensor of `data`'s shape at `indices`; right also where indices repeat (see verify.ts). */
function scatterRows(b: GraphBuilder, data: Node, indices: Node, rows: Node): Node {
  const count = sizeOf(indices.shape);
  const width = sizeOf(data.shape.slice(1));
  const flat = [data.shape[0] as number, width];
  const at = b.expand(b.reshape(indices, [count, 1]), [count, width]);
  const sum = b.scatterElements(b.zeros(flat, data.dtype), at, b.reshape(rows, [count, width]), {
    axis: 0,
    reduction: 'add',
  });
  return b.reshape(sum, data.shape);
}

/**
 * Reverse mode in one table. A rule uses only operators of the IR, so gradients are ordinary nodes and gradients of
 * gradients work wherever the rules' own operators have rules.
 *
 * Conventions at kinks: relu'(0) = 0 and |0|' = 0 (as PyTorch); ties of Max, Min and ReduceMax are split evenly (as JAX);
 * Clip passes the cotangent on its closed interval. An operator without an entry: UnsupportedOpError, never a silent zero.
 */
export const vjp: VjpTable = {
  // Sources, and functions that are constant wherever they have a derivative.
  Input: 'constant',
  Constant: 'constant',
  ConstantOfShape: 'constant',
  StopGradient: 'constant',
  Sign: 'constant',
  Mod: 'constant',
  Equal: 'constant',
  Less: 'constant',
  LessOrEqual: 'constant',
  Greater: 'constant',
  GreaterOrEqual: 'constant',
  Not: 'constant',
  And: 'constant',
  Or: 'constant',
  IsNaN: 'constant',
  IsInf: 'constant',

  Identity: (_b, _node, dy) => [dy],
  Neg: (b, _node, dy) => [b.neg(dy)],
  Abs: (b, node, dy) => [b.mul(dy, b.sign(one(node)))],
  Exp: (b, node, dy) => [b.mul(dy, self(node))],
  Log: (b, node, dy) => [b.div(dy, one(node))],
  Sqrt: (b, node, dy) => [b.div(b.scale(dy, 0.5), self(node))],
  Tanh: (b, node, dy) => [b.sub(dy, b.mul(dy, b.square(self(node))))], // 1 − tanh²
  Erf: (b, node, dy) => [
    b.mul(dy, b.scale(b.exp(b.neg(b.square(one(node)))), 2 / Math.sqrt(Math.PI))), // 2/√π · e^(−x²)
  ],
  Sigmoid: (b, node, dy) => [b.mul(dy, b.sub(self(node), b.square(self(node))))], // σ − σ²
  Relu: (b, node, dy) => [b.where(b.greater(one(node), 0), dy, 0)],
  Clip: (b, node, dy) => {
    const { min, max } = node.attributes;
    const inside = b.and(b.greaterOrEqual(one(node), min), b.lessOrEqual(one(node), max));
    return [b.where(inside, dy, 0)];
  },
  Cast: (b, node, dy) => [
    isFloat(one(node).dtype) && isFloat(node.dtype) ? b.cast(dy, one(node).dtype) : null,
  ],

  // `append` and not the strict methods: an operand may be a scalar (see GraphBuilder.scale).
  Add: (b, node, dy) => two(node).map((input) => b.sumTo(dy, input.shape)),
  Sub: (b, node, dy) => {
    const [x, y] = two(node);
    return [b.sumTo(dy, x.shape), b.neg(b.sumTo(dy, y.shape))];
  },
  Mul: (b, node, dy) => {
    const [x, y] = two(node);
    return [
      b.sumTo(b.append('Mul', [dy, y], {}), x.shape),
      b.sumTo(b.append('Mul', [dy, x], {}), y.shape),
    ];
  },
  Div: (b, node, dy) => {
    const [x, y] = two(node);
    const dx = b.append('Div', [dy, y], {});
    return [b.sumTo(dx, x.shape), b.neg(b.sumTo(b.mul(dx, self(node)), y.shape))]; // −dy/y · x/y
  },
  Max: chosen('greater'),
  Min: chosen('less'),
  Where: (b, node, dy) => {
    const [condition, x, y] = node.inputs as unknown as [Node, Node, Node];
    const zero = b.scalar(0, dy.dtype);
    return [
      null,
      b.sumTo(b.append('Where', [condition, dy, zero], {}), x.shape),
      b.sumTo(b.append('Where', [condition, zero, dy], {}), y.shape),
    ];
  },

  // dX = dY · Yᵀ, dY = Xᵀ · dY. Matrices go by Gemm, which transposes in place; above rank 2 ONNX Runtime fuses Transpose
  // and MatMul.
  MatMul: (b, node, dy) => {
    const [x, y] = two(node);
    if (x.shape.length === 2)
      return [b.gemm(dy, y, { transB: true }), b.gemm(x, dy, { transA: true })];
    return [
      b.sumTo(b.matMul(dy, b.transpose(y)), x.shape),
      b.sumTo(b.matMul(b.transpose(x), dy), y.shape),
    ];
  },
  Gemm: (b, node, dy) => {
    const [x, y, addend] = node.inputs as unknown as readonly [Node, Node, Node?];
    const { transA, transB } = node.attributes;
    return [
      transA ? b.gemm(y, dy, { transA: transB, transB: true }) : b.gemm(dy, y, { transB: !transB }),
      transB ? b.gemm(dy, x, { transA: true, transB: transA }) : b.gemm(x, dy, { transA: !transA }),
      ...(addend === undefined ? [] : [b.sumTo(dy, addend.shape)]),
    ];
  },
  FusedMatMul: (b, node, dy) => {
    const [x, y] = two(node);
    const { transA, transB, alpha } = node.attributes;
    const dx = transA
      ? scaledMatMul(b, y, dy, { transA: transB, transB: true, alpha })
      : scaledMatMul(b, dy, y, { transB: !transB, alpha });
    const dyOther = transB
      ? scaledMatMul(b, dy, x, { transA: true, transB: transA, alpha })
      : scaledMatMul(b, x, dy, { transA: !transA, alpha });
    return [b.sumTo(dx, x.shape), b.sumTo(dyOther, y.shape)];
  },
  // y = x·s, s = σ(αx): y' = s + α·y·(1 − s)
  QuickGelu: (b, node, dy) => {
    const x = one(node);
    const { alpha } = node.attributes;
    const s = b.sigmoid(alpha === 1 ? x : b.scale(x, alpha));
    const rest = b.mul(self(node), b.addScalar(b.neg(s), 1));
    return [b.mul(dy, b.add(s, alpha === 1 ? rest : b.scale(rest, alpha)))];
  },
  // A rotation's transpose turns back: the same with −sin.
  RotaryEmbedding: (b, node, dy) => {
    const [, positions, cos, sin] = node.inputs as unknown as [Node, Node, Node, Node];
    return [rotaryEmbedding(b, dy, positions, cos, b.neg(sin)), null, null, null];
  },

  Transpose: (b, node, dy) => {
    const { perm } = node.attributes;
    return [
      b.transpose(
        dy,
        [...perm.keys()].map((axis) => perm.indexOf(axis)),
      ),
    ]; // the inverse permutation
  },
  Reshape: (b, node, dy) => [b.reshape(dy, one(node).shape)],
  Expand: (b, node, dy) => [b.sumTo(dy, one(node).shape)],
  Concat: (b, node, dy) => {
    const { axis } = node.attributes;
    let start = 0;
    return node.inputs.map((input) => {
      const end = start + (input.shape[axis] as number);
      const part = b.slice(dy, axis, start, end);
      start = end;
      return part;
    });
  },
  Slice: (b, node, dy) => {
    const { axis, start, end } = node.attributes;
    return [b.pad(dy, axis, start, (one(node).shape[axis] as number) - end)];
  },
  Pad: (b, node, dy) => {
    const { axis, before } = node.attributes;
    return [b.slice(dy, axis, before, before + (one(node).shape[axis] as number))];
  },

  ReduceSum: (b, node, dy) => [restore(b, dy, one(node), node.attributes.axes)],
  ReduceSumSquare: (b, node, dy) => {
    const x = one(node);
    return [b.mul(b.scale(x, 2), restore(b, dy, x, node.attributes.axes))];
  },
  ReduceMean: (b, node, dy) => {
    const { axes } = node.attributes;
    const count = axes.reduce((product, axis) => product * (one(node).shape[axis] as number), 1);
    return [restore(b, b.scale(dy, 1 / count), one(node), axes)];
  },
  ReduceMax: (b, node, dy) => {
    const { axes } = node.attributes;
    const x = one(node);
    const isMax = indicator(b, b.equal(x, restore(b, self(node), x, axes)), dy);
    const share = b.div(keptDimensions(b, dy, x, axes), b.reduceSum(isMax, axes));
    return [b.mul(isMax, share)];
  },
  // dx = y ⊙ (dy − Σ dy ⊙ y)
  Softmax: (b, node, dy) => {
    const weighted = b.mul(dy, self(node));
    const total = b.reduceSum(weighted, [node.attributes.axis]);
    return [b.sub(weighted, b.mul(self(node), total))];
  },
  // dx = dy − e^y · Σ dy
  LogSoftmax: (b, node, dy) => {
    const total = b.reduceSum(dy, [node.attributes.axis]);
    return [b.sub(dy, b.mul(b.exp(self(node)), total))];
  },

  Gather: (b, node, dy) => {
    const [data, indices] = two(node);
    return [scatterRows(b, data, indices, dy), null];
  },
  GatherElements: (b, node, dy) => {
    const [data, indices] = two(node);
    const { axis } = node.attributes;
    const zeros = b.zeros(data.shape, data.dtype);
    return [b.scatterElements(zeros, indices, dy, { axis, reduction: 'add' }), null];
  },
  // With reduction 'none' the overwritten elements get nothing; indices must not repeat (ONNX leaves that undefined).
  ScatterElements: (b, node, dy) => {
    const [, indices, updates] = node.inputs as unknown as [Node, Node, Node];
    const { axis, reduction } = node.attributes;
    const kept =
      reduction === 'add'
        ? dy
        : b.scatterElements(dy, indices, b.zeros(updates.shape, dy.dtype), { axis });
    return [kept, null, b.gatherElements(dy, indices, axis)];
  },
};
